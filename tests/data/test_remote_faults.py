"""Servers that do not do as they should: one sentence within the time allowed, and no recording less a sweep."""

import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from nwb_files import Lab, amps, volts
from web import serving

from ephysfit.data import access, remote
from ephysfit.data.contents import contents
from ephysfit.data.loading import load
from ephysfit.errors import RecordingError

pytest.importorskip("requests")
SAMPLES = 60_000


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Three sweeps of 1 MB each: more than the headers bring along."""
    lab = Lab(tmp_path_factory.mktemp("faults") / "cell.nwb")
    for k in range(3):
        noise = np.random.default_rng(k).standard_normal(SAMPLES) * 1e-4
        lab.response(f"v{k}", volts(SAMPLES) + noise, start=30.0 * k, sweep_number=k)
        lab.stimulus(f"i{k}", amps(SAMPLES, 50.0), start=30.0 * k, sweep_number=k)
    return lab.save()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(remote, "WAIT", 0.01)


@contextmanager
def within(seconds):
    begin = time.perf_counter()
    yield
    assert time.perf_counter() - begin < seconds


def answering(path, behave):
    return serving({"/cell.nwb": path.read_bytes()}, behave=behave)


def from_request(number, misbehave):
    """Behave up to that request, counted from 1."""
    return lambda handler, body, part: handler.server.requests >= number and misbehave(handler, body, part)


def status(code, **headers):
    def behave(handler, body, part):
        handler.send_response(code)
        for name, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        return True

    return behave


def said(handler, body, part, first=None, size=None, length=None, **more):
    """The headers of a part, with what is wrong in them."""
    asked = handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
    first = int(asked[0]) if first is None else first
    handler.send_response(206)
    handler.send_header("Content-Length", str(len(part) if length is None else length))
    handler.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{size or len(body)}")
    for name, value in more.items():
        handler.send_header(name, value)
    handler.end_headers()


def silent(handler, body, part):
    time.sleep(3)
    return True


def stalling(handler, body, part):
    said(handler, body, part)
    handler.wfile.write(part[: len(part) // 2])
    handler.wfile.flush()
    time.sleep(3)
    return True


def trickling(handler, body, part):
    said(handler, body, part)
    for k in range(60):
        handler.wfile.write(part[k : k + 1])
        handler.wfile.flush()
        time.sleep(0.1)
    return True


def trickling_headers(handler, body, part):
    handler.wfile.write(b"HTTP/1.1 206 Partial Content\r\nX-Slow: ")
    for _ in range(60):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)
    return True


def short(handler, body, part):
    said(handler, body, part)
    handler.wfile.write(part[:-100])
    handler.close_connection = True
    return True


def reset(handler, body, part):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    handler.close_connection = True
    handler.connection.close()
    handler.wfile = handler.rfile = type(
        "gone", (), {"close": lambda _: None, "flush": lambda _: None, "closed": True}
    )()
    return True


SLOW = {"first byte": silent, "mid-body": stalling, "trickle": trickling, "headers": trickling_headers}


@pytest.mark.parametrize("how", SLOW)
@pytest.mark.parametrize("request_number", [1, 2])
def test_a_server_that_is_silent_or_trickles_is_given_up_in_time(path, how, request_number):
    with answering(path, from_request(request_number, SLOW[how])) as site, within(3):
        with pytest.raises(RecordingError, match=r"(did not answer, or stopped|too slow).*timeout=") as caught:
            load(f"{site.root}/cell.nwb", timeout=0.3)
        assert f"127.0.0.1:{site.server_port}" in str(caught.value)
        assert "cell.nwb" in str(caught.value)
        assert site.requests == request_number  # waiting was the try


def test_a_host_that_takes_no_connection_is_given_up_in_time():
    """Its queue is full, so that it drops what knocks."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        with within(3), pytest.raises(RecordingError, match=r"did not answer.* for 0\.3 s"):
            load(f"http://127.0.0.1:{full.getsockname()[1]}/cell.nwb", timeout=0.3)
        for one in waiting:
            one.close()


@pytest.mark.parametrize("request_number", [1, 2])
@pytest.mark.parametrize("code", [401, 403, 404, 410, 416])
def test_what_does_not_pass_fails_at_once(path, code, request_number):
    with answering(path, from_request(request_number, status(code))) as site:
        with pytest.raises(RecordingError, match=rf"cell\.nwb.*the server says {code} .*, so "):
            load(f"{site.root}/cell.nwb")
        assert site.requests == request_number


@pytest.mark.parametrize("request_number", [1, 2])
@pytest.mark.parametrize(
    "misbehave", [status(503), status(429), status(500), reset, short], ids=["503", "429", "500", "reset", "short"]
)
def test_what_may_pass_is_tried_four_times_and_read_if_it_does(path, misbehave, request_number):
    with answering(path, from_request(request_number, misbehave)) as site:
        with pytest.raises(RecordingError, match=r"cell\.nwb.*tried 4 times"):
            load(f"{site.root}/cell.nwb")
        assert site.requests == request_number + 3
    now_and_then = lambda handler, body, part: handler.server.requests % 3 and misbehave(handler, body, part)  # noqa: E731
    with answering(path, now_and_then) as site:
        again, sound = load(f"{site.root}/cell.nwb"), load(path)
    assert len(again) == len(sound) == 3
    for a, b in zip(again, sound, strict=True):
        np.testing.assert_array_equal(a.voltage, b.voltage)
        np.testing.assert_array_equal(a.current, b.current)


def test_a_server_that_ignores_ranges_is_told_before_its_file_is_fetched(path):
    with serving({"/cell.nwb": path.read_bytes() + bytes(10**7)}, ranges=False) as site:
        with pytest.raises(RecordingError, match=r"cell\.nwb.*does not send parts of a file .*download"):
            load(f"{site.root}/cell.nwb")
        assert site.requests == 1


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"first": 7}, "sent bytes 7 to .* where 0 to"),
        ({"size": "*"}, "does not send parts"),
        ({"length": 10}, "10 bytes came|broke"),
        ({"length": 10**7}, "tried 4 times"),
    ],
)
def test_a_server_that_says_what_is_not_so(path, wrong, match):
    def behave(handler, body, part):
        said(handler, body, part, **wrong)
        handler.wfile.write(part)
        handler.close_connection = True
        return True

    with answering(path, behave) as site, within(10), pytest.raises(RecordingError, match=match):
        load(f"{site.root}/cell.nwb", timeout=1)


@pytest.mark.parametrize("size", [0.5, 2])
def test_a_length_that_is_not_that_of_the_file(path, size):
    """Half of it: the file is truncated. Twice: less comes than was promised."""
    whole = path.read_bytes()

    def behave(handler, body, part):
        first = int(handler.headers["Range"].removeprefix("bytes=").partition("-")[0])
        if first >= len(whole):
            return status(416)(handler, body, part)
        said(handler, body, part, size=int(len(whole) * size))
        handler.wfile.write(part)
        return True

    with answering(path, behave) as site, pytest.raises(RecordingError, match=r"cell\.nwb"):
        load(f"{site.root}/cell.nwb")


def test_a_file_that_changes_while_it_is_read(path):
    def behave(handler, body, part):
        said(handler, body, part, ETag=f'"{handler.server.requests // 3}"')
        handler.wfile.write(part)
        return True

    with answering(path, behave) as site, pytest.raises(RecordingError, match="changed on its server"):
        load(f"{site.root}/cell.nwb")


@pytest.mark.slow
def test_a_fault_in_the_samples_of_one_sweep_loses_no_sweep_in_silence(path):
    """The reader puts aside sweeps that cannot be read; a network that fails is no such sweep."""
    found = []

    def behave(handler, body, part):
        found.append(handler.server.requests)
        return handler.server.broken and status(404)(handler, body, part)

    with answering(path, behave) as site:
        site.broken = False
        load(f"{site.root}/cell.nwb")
        most = len(found)
    assert most > 3
    for number in range(2, most + 1):
        with answering(path, from_request(number, status(404))) as site, pytest.raises(RecordingError, match="404"):
            load(f"{site.root}/cell.nwb")


@pytest.mark.slow
def test_hosts_that_are_not_there_fail_at_once():
    with within(20), pytest.raises(RecordingError, match=r"x\.nwb: nobody\.invalid does not answer"):
        load("http://nobody.invalid/x.nwb")
    with within(5), pytest.raises(RecordingError, match=r"127\.0\.0\.1:9 does not answer \(Connection refused\)"):
        load("http://127.0.0.1:9/x.nwb")


def test_a_certificate_that_fits_nobody_fails_at_once(tmp_path):
    """A server that speaks no TLS, and one whose certificate nobody signed."""
    import ssl
    import subprocess

    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "k", "-out", tmp_path / "c",
         "-days", "2", "-subj", "/CN=localhost"], capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c", tmp_path / "k")
    with serving({"/cell.nwb": b"x"}) as site:
        site.socket = context.wrap_socket(site.socket, server_side=True)
        with within(10), pytest.raises(RecordingError, match=r"has no certificate that can be trusted .*self.signed"):
            load(f"https://127.0.0.1:{site.server_port}/cell.nwb")
    with serving({"/cell.nwb": b"x"}) as site, within(10), pytest.raises(RecordingError, match="certificate"):
        load(f"https://127.0.0.1:{site.server_port}/cell.nwb")


def test_the_list_of_the_archive_keeps_the_time_too(path, monkeypatch):
    with serving({"/api/dandisets/1/versions/draft/assets/": b"{}"}, behave=silent) as site, within(3):
        monkeypatch.setattr(remote, "DANDI", f"{site.root}/api")
        with pytest.raises(RecordingError, match=r"dandi://1/x\.nwb.*did not answer"):
            load("dandi://1/x.nwb", timeout=0.3)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), "soon", True])
def test_a_timeout_is_a_positive_number(wrong):
    with pytest.raises(RecordingError, match=r"timeout=.*positive number of seconds"):
        load("http://127.0.0.1:9/x.nwb", timeout=wrong)


def test_the_timeout_of_the_environment(path, monkeypatch):
    monkeypatch.setenv(access.TIMEOUT, "0.3")
    with answering(path, silent) as site, within(3), pytest.raises(RecordingError, match=r"for 0\.3 s"):
        contents(f"{site.root}/cell.nwb")
    monkeypatch.setenv(access.TIMEOUT, "soon")
    with pytest.raises(RecordingError, match=r"EPHYSFIT_TIMEOUT='soon'"):
        load("http://127.0.0.1:9/x.nwb")


def test_the_command_line_takes_it(path):
    import subprocess
    import sys

    with answering(path, silent) as site, within(60):
        command = [sys.executable, "-m", "ephysfit", "info", f"{site.root}/cell.nwb", "-O", "timeout=0.3"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert "for 0.3 s" in " ".join((done.stdout + done.stderr).split()), (done.stdout, done.stderr)


def test_no_thread_is_left_by_a_sound_server(path):
    with answering(path, None) as site:
        load(f"{site.root}/cell.nwb")
        time.sleep(0.2)
        assert not [t.name for t in threading.enumerate() if t.name.startswith("fetch")]


def test_garbage_of_h5py_does_not_stop_the_thread_that_fetches(path):
    """Its collector wants the lock of h5py, which whoever waits for the thread holds."""
    import gc

    import h5py

    def cyclic():
        file = h5py.File(path, "r")
        ring = [file]
        ring.append(ring)

    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        with answering(path, None) as site, within(20):
            for _ in range(3):
                cyclic()
                assert len(load(f"{site.root}/cell.nwb", timeout=2)) == 3
    finally:
        gc.set_threshold(*before)
    assert gc.isenabled()
