"""``genaug.convert`` and ``genaug convert``: R3GAN's snapshots become generators of the backend ``r3gan``."""

import pytest
import torch
from helpers.snapshots import NOISE, Generator, images_of, make_generator, snapshot
from torch import nn
from typer.testing import CliRunner

import genaug
from genaug.cli import app
from genaug.errors import FormatError, InputError, OutputExistsError
from genaug.hub.card import stated_license

FORMS = {
    "classes": {},
    "no classes": {"classes": 0},
    "constant width": {"widths": (16, 16, 16, 16), "cardinalities": (8, 8, 8, 8), "blocks": (1, 1, 1, 1)},
    "narrower": {"widths": (16, 16, 8, 4), "cardinalities": (8, 8, 4, 2), "blocks": (2, 2, 2, 2), "expansion": 2},
    "expansion": {"expansion": 3, "cardinalities": (9, 9, 9), "widths": (12, 12, 12)},
    "one stage": {"widths": (8,), "cardinalities": (4,), "blocks": (2,)},
}


@pytest.fixture
def file(tmp_path):
    (tmp_path / "snapshot.pkl").write_bytes(snapshot(make_generator()))
    return tmp_path / "snapshot.pkl"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("live", [True, False])
def test_a_converted_generator_draws_the_same_images(form, live, tmp_path):
    original = make_generator(**FORMS[form])
    mark = tmp_path / "executed"
    if live:
        source = f"import os\nos.system('touch {mark}')\n"
        other = make_generator(seed=1, **FORMS[form])
        (tmp_path / "a.pkl").write_bytes(snapshot(other, average=original, source=source))
    else:
        torch.save(original.state_dict(), tmp_path / "a.pkl")
    generator = genaug.convert(tmp_path / "a.pkl", tmp_path / "out")
    loaded = genaug.load(tmp_path / "out", device="cpu")
    assert not mark.exists()
    z, labels = torch.randn(6, NOISE), torch.arange(6) % 4 if original.c_dim else None
    expected = images_of(original, z, labels)
    for result in (generator, loaded):
        assert result.spec.shape == tuple(expected.shape[1:])
        assert result.spec.num_classes == original.c_dim
        assert torch.allclose(result.network(z, labels), expected, atol=1e-5)
    assert loaded.sample(2, seed=0)[0].dtype == torch.uint8


def test_weights_are_converted_bit_for_bit(file, tmp_path):
    tensors = make_generator().state_dict()
    converted = genaug.convert(file, tmp_path / "out").network.state_dict()
    pairs = {
        "image.weight": "Model.AggregationLayer.Layer.weight",
        "stages.0.transition.maps": "Model.MainLayers.0.Layers.0.Basis",
        "stages.0.transition.project.weight": "Model.MainLayers.0.Layers.0.LinearLayer.weight",
        "stages.2.transition.conv.weight": "Model.MainLayers.2.Layers.0.LinearLayer.Layer.weight",
    }
    for stage in range(3):
        for block in range(2):
            ours, theirs = f"stages.{stage}.blocks.{block}", f"Model.MainLayers.{stage}.Layers.{block + 1}"
            pairs |= {f"{ours}.{name}.weight": f"{theirs}.LinearLayer{i}.Layer.weight"
                      for i, name in enumerate(("expand", "grouped", "reduce"), 1)}  # fmt: skip
            pairs |= {f"{ours}.{name}.bias": f"{theirs}.NonLinearity{i}.Bias"
                      for i, name in enumerate(("expand", "grouped"), 1)}  # fmt: skip
    assert set(pairs) | {"embed.weight"} == set(converted)
    for ours, theirs in pairs.items():
        assert torch.equal(converted[ours], tensors[theirs]), ours
    assert torch.equal(converted["embed.weight"], tensors["Model.EmbeddingLayer.weight"].t())


def test_half_precision_weights_become_float32(tmp_path):
    original = make_generator().half()
    torch.save(original.state_dict(), tmp_path / "a.pth")
    weight = genaug.convert(tmp_path / "a.pth", tmp_path / "out").network.state_dict()["image.weight"]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, original.Model.AggregationLayer.Layer.weight.float())


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.complex64])
def test_numbers_that_float32_cannot_hold_are_rejected(dtype, tmp_path):
    state = {name: tensor.to(dtype) for name, tensor in make_generator().state_dict().items() if "Kernel" not in name}
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(FormatError, match=r"is (float64|int64|complex64), expected float16 or bfloat16 or float32"):
        genaug.convert(tmp_path / "g.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tensor_beside_the_networks_does_not_hide_them(tmp_path):
    torch.save({"cur_nimg": torch.tensor(5), "G_ema": make_generator().state_dict()}, tmp_path / "g.pth")
    assert genaug.convert(tmp_path / "g.pth", tmp_path / "out").training["network"] == "G_ema"


@pytest.mark.parametrize(
    ("nest", "name"),
    [
        (lambda average, other: {"model": {"G": other, "G_ema": average}}, "model.G_ema"),
        (lambda average, other: {"G": other, "state": {"ema": {"G": average}}}, "state.ema.G"),
        (lambda average, other: {"ema": average, "G": other}, "ema"),
        (lambda average, other: {"a": {"b": {"c": average}}}, "a.b.c"),
        (lambda average, other: {"model": {**prefixed("G.", other), **prefixed("G_ema.", average)}}, "model.G_ema"),
        (lambda average, other: prefixed("module.", average), "module"),
        (lambda average, other: {"state_dict": prefixed("G_ema.module.", average)}, "state_dict.G_ema.module"),
    ],
)
def test_the_averaged_generator_is_found_wherever_it_is(nest, name, tmp_path):
    average = make_generator()
    torch.save(nest(average.state_dict(), make_generator(seed=1).state_dict()), tmp_path / "g.pth")
    generator = genaug.convert(tmp_path / "g.pth", tmp_path / "out")
    assert generator.training["network"] == name
    z, labels = torch.randn(6, NOISE), torch.arange(6) % 4
    assert torch.allclose(generator.network(z, labels), images_of(average, z, labels), atol=1e-5)


def prefixed(prefix, tensors):
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def test_a_label_vector_that_leaves_no_latent_is_rejected(tmp_path):
    tensors = make_generator().state_dict()
    name = "Model.MainLayers.0.Layers.0.LinearLayer.weight"
    for inputs in (NOISE, NOISE - 1):
        torch.save({**tensors, name: tensors[name][:, :inputs].clone()}, tmp_path / "g.pth")
        with pytest.raises(
            InputError, match=rf"label vector has {NOISE} numbers, but its first layer takes only {inputs}"
        ):
            genaug.convert(tmp_path / "g.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_incomplete_generator_is_named(tmp_path):
    first = "Model.MainLayers.0.Layers.0.Basis"
    torch.save({first: torch.ones(4, 4, 4)}, tmp_path / "g.pth")
    with pytest.raises(InputError, match=r"incomplete generator.*'MainLayers\.0\.Layers\.1"):
        genaug.convert(tmp_path / "g.pth", tmp_path / "out")
    torch.save({**make_generator().state_dict(), first: torch.ones(12, 5, 4)}, tmp_path / "g.pth")
    with pytest.raises(InputError, match=r"starts with 5 × 4 pixels. Expected 4 × 4"):
        genaug.convert(tmp_path / "g.pth", tmp_path / "out")


def test_what_holds_no_network_is_named(tmp_path):
    torch.save({"epoch": 3, "settings": {"lr": 0.1}}, tmp_path / "g.pth")
    with pytest.raises(InputError, match=r"g\.pth holds no network\. Expected a snapshot of R3GAN.*--list"):
        genaug.convert(tmp_path / "g.pth", tmp_path / "out")
    torch.save({"x": torch.ones(1)}, tmp_path / "g.pth")
    with pytest.raises(InputError, match=r"holds a state dict \(1 tensor\), for which there is no converter"):
        genaug.convert(tmp_path / "g.pth", tmp_path / "out")
    torch.save({f"n{i}": {"x": torch.ones(1)} for i in range(5)}, tmp_path / "g.pth")
    with pytest.raises(InputError, match=r"n3: a state dict \(1 tensor\) and 1 more network, for"):
        genaug.convert(tmp_path / "g.pth", tmp_path / "out")


def test_a_folder_is_named(tmp_path):
    with pytest.raises(FormatError, match="is a directory"):
        genaug.convert(tmp_path, tmp_path / "out")


def test_license_and_origin_are_kept(file, tmp_path):
    generator = genaug.convert(file, tmp_path / "out", license="CC-BY-NC-4.0")
    assert stated_license((tmp_path / "out" / "README.md").read_text()) == "cc-by-nc-4.0"
    assert generator.training["converted_from"] == "snapshot.pkl"
    assert generator.training["network"] == "G_ema"
    assert len(generator.training["sha256"]) == 64
    assert generator.folder == tmp_path / "out"
    genaug.convert(file, tmp_path / "out", overwrite=True)
    assert stated_license((tmp_path / "out" / "README.md").read_text()) is None


def test_nothing_is_replaced_without_being_asked(file, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError):
            genaug.convert(file, tmp_path / "out", overwrite=overwrite)
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match="license"):
        genaug.convert(file, tmp_path / "new", license="unknown")
    assert not (tmp_path / "new").exists()


def other_kernel(generator):
    generator.Model.MainLayers[1].Layers[0].Resampler.Kernel[0, 0] = 1.0


def not_finite(generator):
    generator.Model.AggregationLayer.Layer.weight[0] = torch.nan


def another_layer(generator):
    generator.Model.Extra = nn.Linear(2, 2)


def without_a_layer(generator):
    del generator.Model.MainLayers[1].Layers[1].LinearLayer2


def without_an_end(generator):
    del generator.Model.AggregationLayer


def another_shape(generator):
    generator.Model.MainLayers[0].Layers[1].LinearLayer1.Layer.weight = nn.Parameter(torch.ones(3, 3, 1, 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_kernel, "another filter"),
        (not_finite, "NaN"),
        (another_layer, "Extra"),
        (without_a_layer, "LinearLayer2"),
        (without_an_end, "AggregationLayer"),
        (another_shape, "shape"),
    ],
)
def test_a_generator_of_another_form_is_rejected(change, words, tmp_path):
    generator = make_generator()
    change(generator)
    torch.save(generator.state_dict(), tmp_path / "a.pth")
    with pytest.raises((InputError, FormatError), match=words):
        genaug.convert(tmp_path / "a.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"blocks": (1, 2, 2)},
        {"widths": (12, 6, 6), "cardinalities": (3, 3, 3)},
        {"widths": (12, 12, 4), "cardinalities": (6, 6, 2)},
    ],
)
def test_stages_that_the_backend_lacks_are_rejected(options, tmp_path):
    torch.save(Generator(**options).state_dict(), tmp_path / "a.pth")
    with pytest.raises(InputError):
        genaug.convert(tmp_path / "a.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tensors_that_share_their_numbers_beyond_the_files_size_are_rejected(tmp_path):
    tensors = make_generator().state_dict()
    numbers = torch.randn(max(tensor.numel() for tensor in tensors.values()))
    shared = {
        name: tensor if name.endswith("Kernel") else numbers[: tensor.numel()].view(tensor.shape)
        for name, tensor in tensors.items()
    }
    torch.save(shared, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(FormatError, match="overlap"):
        genaug.convert(tmp_path / "a.pth", tmp_path / "out")


def test_other_networks_are_named_but_not_converted(tmp_path):
    torch.save({"model": nn.Linear(2, 3).state_dict()}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"model: a state dict \(2 tensors\), for which there is no converter"):
        genaug.convert(tmp_path / "a.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def run(*arguments):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


def test_the_command_lists_and_converts(file, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    listing = run(file, "--list")
    assert listing.exit_code == 0, listing.output
    for part in (
        "training.networks.Generator",
        "G_ema",
        "WidthPerStage",
        "[12, 12, 6]",
        "float32",
        "12 × 16",
        "cur_nimg",
    ):
        assert part in listing.output, part
    done = run(file, "--out", tmp_path / "out", "--license", "mit")
    assert done.exit_code == 0, done.output
    assert "r3gan" in done.output
    again = run(file, "--out", tmp_path / "out", "--license", "mit")
    assert again.exit_code == 1
    assert "--overwrite" in again.output or "overwrite" in again.output
    assert run(file, "--out", tmp_path / "out", "--overwrite").exit_code == 0


@pytest.mark.parametrize("options", [(), ("--list", "--out", "x")])
def test_the_command_does_one_thing(options, file):
    result = run(file, *options)
    assert result.exit_code == 1
    assert "--list" in result.output


def test_listing_does_not_import_torch(file):
    import subprocess
    import sys

    code = "import sys; from genaug.conversion.contents import read; from genaug.conversion.listing import sections\n"
    code += f"list(sections(read({str(file)!r}))); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
