"""What a network and a server can do to an answer: each takes the request's handler and the answer it would get."""

import json
import socket
import struct

from helpers.local_hub import Answer


def status(code, **headers):
    told = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return lambda request, answer: request.send(Answer(code, b'{"error": "as the test wants it"}', told))


def flipped(request, answer):
    """One bit of the body is another."""
    body = bytearray(answer.body)
    if body:
        body[len(body) // 2] ^= 1
    request.send(answer, bytes(body))


def dropped(request, answer):
    """The connection ends in the middle of the body."""
    request.send(answer, answer.body[: len(answer.body) // 2])
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def reset(request, answer):
    """The connection is reset before the answer."""
    request.close_connection = True
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()


def short(request, answer):
    """The body is shorter than the file, and its length agrees with that."""
    half = answer.body[: len(answer.body) // 2]
    request.send(answer, half, len(half))


def hung(request, answer):
    """Nothing comes, and the connection stays open."""
    request.hub.over.wait(30)
    request.close_connection = True


def hung_in_the_body(request, answer):
    request.send(answer, answer.body[: len(answer.body) // 2])
    hung(request, answer)


def lost(request, answer):
    """What was asked for is done, but the answer never comes."""
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def log_in_page(request, answer):
    request.send(Answer(200, b"<html>Welcome to our wireless network</html>", {"Content-Type": "text/html"}))


def endless(request, answer):
    """A body without a length, and without an end: 128 MiB, of which ``endless_bytes`` went off."""
    request.send_response(200)
    _endless_body(request)


def _endless_body(request):
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    for _ in range(2000):
        request.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        request.hub.endless_bytes += 0x10000
    request.close_connection = True


def endless_refusal(request, answer):
    request.send_response(404)
    _endless_body(request)


def endless_redirect(request, answer):
    request.send_response(302)
    request.send_header("Location", request.path)
    _endless_body(request)


def redirect_to_itself(request, answer):
    request.send(Answer(302, b"", {"Location": request.path}))


def longer(request, answer):
    """More bytes than the Hub said the file has, under an honest length."""
    request.send(answer, answer.body + bytes(2**22), len(answer.body) + 2**22)


def dripping(request, answer):
    """One byte of the body at a time, often enough for every timeout."""
    request.send(answer, b"", len(answer.body))
    _drip(request, answer.body)


def dripping_headers(request, answer):
    """The same of the headers, without an end."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Filler: ")
    _drip(request, b"." * 2000)


def _drip(request, content):
    request.close_connection = True
    for byte in content:
        if request.hub.over.wait(0.05):
            return
        request.wfile.write(bytes([byte]))
        request.wfile.flush()


def broken_behind_the_end(request, answer):
    """All of the body, announced as longer than it is, and then a reset in place of more."""
    request.send(answer, answer.body, len(answer.body) + 1)
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.hub.over.wait(0.05)  # or the reset overtakes the bytes
    request.close_connection = True
    request.connection.close()


def hung_behind_the_end(request, answer):
    """All of the body, without the mark of its end, and the connection stays open."""
    request.send_response(answer.status)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    request.wfile.write(b"%x\r\n%b\r\n" % (len(answer.body), answer.body))
    hung(request, answer)


def echoing(request, answer):
    """A refusal that repeats the token that came with the request."""
    token = request.headers.get("Authorization", "nothing")
    body = json.dumps({"error": f"no access with Authorization: {token}"}).encode()
    request.send(Answer(403, body, {"X-Error-Message": f"{token} may not do this"}))


def edited(change):
    """The JSON of the answer, with something changed in it."""

    def act(request, answer):
        content = json.loads(answer.body)
        change(content)
        request.send(Answer(answer.status, json.dumps(content).encode(), answer.headers))

    return act
