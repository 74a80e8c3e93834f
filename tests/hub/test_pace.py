"""Transfers end: uploads and downloads need a minimum number of bytes in each window of time."""

import threading
import time

import pytest
from huggingface_hub.utils import httpx

from genaug.hub import pace
from genaug.hub.pace import Pace, PacedStream, TooLongError, TooSlowError, paced_send

WINDOW = 0.2  # seconds, in which 200 bytes are needed


@pytest.fixture(autouse=True)
def no_grace(monkeypatch):
    monkeypatch.setattr(pace, "_GRACE", 0.0)


def request(content=b""):
    return httpx.Request("PUT", "http://hub.example/", content=content)


def response(chunks=(b"",)):
    class Body(httpx.SyncByteStream):
        def __iter__(self):
            yield from chunks

    return httpx.Response(200, stream=Body())


def slowly(content, pause=0.03):
    for byte in content:
        threading.Event().wait(pause)
        yield bytes([byte])


def test_a_quick_answer_is_passed_on_unchanged():
    answer = paced_send(lambda request, **options: response([b"one", b"two"]), request(), WINDOW)
    assert answer.read() == b"onetwo"


def test_an_answer_that_trickles_in_is_aborted():
    answer = paced_send(lambda request, **options: response(slowly(bytes(100))), request(), WINDOW)
    with pytest.raises(TooSlowError, match=r"\d+ bytes in 0\.2 s"):
        answer.read()


def test_a_slow_answer_above_the_minimum_rate_is_complete():
    chunks = slowly(bytes(30))
    answer = paced_send(lambda request, **options: response(b"x" * 100 for _ in chunks), request(), WINDOW)
    assert len(answer.read()) == 3000


def test_an_answer_that_never_begins_is_aborted_and_closed_if_it_comes_late():
    late, closed = threading.Event(), threading.Event()

    class Late:
        close = closed.set

    def send(request, **options):
        late.wait(10)
        return Late()

    start = time.monotonic()
    with pytest.raises(TooSlowError, match=r"no complete answer in 0\.2 s"):
        paced_send(send, request(), WINDOW)
    assert time.monotonic() - start < 5
    late.set()
    assert closed.wait(5)


def test_an_upload_that_the_server_reads_slowly_is_aborted():
    over = threading.Event()

    def send(request, **options):
        for _ in request.stream:
            over.wait(10)

    with pytest.raises(TooSlowError):
        paced_send(send, request(bytes(10)), WINDOW)
    over.set()


def test_an_upload_is_counted_in_parts():
    parts = list(PacedStream(httpx.ByteStream(bytes(200_000)), Pace(WINDOW)))
    assert [len(part) for part in parts] == [65536, 65536, 65536, 3392]


def test_an_answer_has_a_limit():
    answer = paced_send(lambda request, **options: response([bytes(60)] * 2), request(), WINDOW, 100)
    with pytest.raises(TooLongError, match="more than 100 bytes"):
        answer.read()


def test_errors_of_the_client_are_raised():
    def send(request, **options):
        raise KeyError("of the client")

    with pytest.raises(KeyError, match="of the client"):
        paced_send(send, request(), WINDOW)
