"""Files that are given to the converter by mistake, by how they begin, and what to do with them."""

import struct
from collections.abc import Collection

_REMEDY = "Expected a .pkl, .pth or .pt file."
_SHORT = 4096  # bytes of a message; a longer text may be a truncated pickle of protocol 0
_COMPRESSED = f"is compressed. Unpack it first. {_REMEDY}"
_PICTURE = f"is a picture. {_REMEDY}"
_MAX_SAFETENSORS_HEADER = 100_000_000  # the library's limit

_BEGINNINGS = {
    b"version https://git-lfs": (
        "is a pointer of Git LFS, not the file that it stands for. Download that: `git lfs pull` in a clone of the "
        "repository, or the download link on the file's page."
    ),
    b"\x93NUMPY": f"is an array of NumPy (.npy), without names for its tensors. {_REMEDY}",
    b"\x89HDF\r\n\x1a\n": f"is an HDF5 file, as Keras writes them. {_REMEDY}",
    b"GGUF": f"is a GGUF file, for language models. {_REMEDY}",
    b"%PDF": f"is a PDF document. {_REMEDY}",
    b"\x1f\x8b": _COMPRESSED,
    b"BZh": _COMPRESSED,
    b"\xfd7zXZ\0": _COMPRESSED,
    b"7z\xbc\xaf\x27\x1c": _COMPRESSED,
    b"Rar!": _COMPRESSED,
    b"\x28\xb5\x2f\xfd": _COMPRESSED,  # zstd
    b"\x89PNG": _PICTURE,
    b"\xff\xd8\xff": _PICTURE,
    b"GIF8": _PICTURE,
}


def other_format(data: memoryview) -> str | None:
    """The predicate of a sentence about a file of a known format that isn't read here; None for any other file."""
    beginning = bytes(data[:512])
    for signature, sentence in _BEGINNINGS.items():
        if beginning.startswith(signature):
            return sentence
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        return (
            "is a web page, not a network. Its address may be that of a page about the file, or the server asks for a "
            "login: download the file itself."
        )
    if text.startswith((b"{", b"[")):
        return f"is a JSON file, perhaps a server's error message. {_REMEDY}"
    if _is_safetensors(beginning):
        return (
            "is a safetensors file, which convert doesn't read. It can't run code: load it with safetensors.torch, and "
            "save its tensors with torch.save, to convert the state dict of a known network."
        )
    if beginning[257:262] == b"ustar":
        return f"is a tar archive. Unpack it first. {_REMEDY}"
    if len(data) <= _SHORT and _is_text(text := bytes(data).strip()) and not text.endswith(b"."):  # a pickle's end
        return f"is a text that begins with {text[:40].decode()!r}, perhaps a server's error message. {_REMEDY}"
    return None


def _is_text(content: bytes) -> bool:
    return content.isascii() and all(byte >= 32 or byte in b"\t\r\n" for byte in content)


def other_archive(names: Collection[str]) -> str | None:
    """What a zip file with entries of these names is, if it is of a known kind that isn't read here."""
    if any(name.endswith("/constants.pkl") for name in names):
        return "it is a TorchScript program, which only torch.jit reads"
    if any(name.endswith("/data.pkl") for name in names):
        return None
    if any(name.endswith(".npy") for name in names):
        return "it is an .npz file of NumPy"
    if any(name.endswith((".pkl", ".pth", ".pt", ".bin", ".safetensors")) for name in names):
        return "it is an archive of files, which have to be unpacked first"
    return None


def _is_safetensors(beginning: bytes) -> bool:
    return (
        len(beginning) > 8
        and 1 < struct.unpack_from("<Q", beginning)[0] <= _MAX_SAFETENSORS_HEADER
        and beginning[8:9] == b"{"
    )
