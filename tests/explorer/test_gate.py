"""Who gets the page: nobody without the token of its address, on whatever route; and what its owner cannot be made to
ask. Asked as another program, another user, another site and another name would ask."""

import http.client
import logging
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from explorer_browser import READY, needed, opened

import ephysfit as ef
from ephysfit.errors import RecordingError

pytest.importorskip("panel")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


@pytest.fixture
def entry(served):
    """Path and query of the address, token and all."""
    return served.url.split(f":{served.port}")[1]


@pytest.fixture
def cookie(served, entry):
    return enter(served.port, entry)


def ask(port, path, method="GET", **headers):
    """Status, headers and text of an answer; underscores in names of headers stand for dashes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode("utf-8", "replace")


def enter(port, entry, **headers):
    """The cookie that the address gives."""
    status, answer, _ = ask(port, entry, **headers)
    assert status == 200
    return answer["Set-Cookie"].split(";")[0]


def routes(application):
    """A path for every rule of a tornado application, its wildcards filled in."""
    found, todo = set(), list(application.default_router.rules) + list(application.wildcard_router.rules)
    while todo:
        rule = todo.pop()
        todo += getattr(rule.target, "rules", [])
        pattern = getattr(getattr(rule.matcher, "regex", None), "pattern", None)
        if pattern is not None:
            found.add(re.sub(r"\([^)]*\)", "os/path/x/y.css", pattern).rstrip("$").lstrip("^").replace("?", "") or "/")
    return sorted(found)


def test_every_route_is_closed_to_whoever_has_no_token(served):
    paths = routes(served._server.application)
    assert {"/ws", "/autoload.js", "/metadata", "/favicon.ico"} <= set(paths)
    assert any(p.startswith("/static/") for p in paths)
    assert any(p.startswith("/components/") for p in paths)
    for path in [*paths, "/session_info", "/rest/session_info", "/admin", "/no/such/route", "/?token", "/?token="]:
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            status, _, text = ask(served.port, path, method, Origin=f"http://127.0.0.1:{served.port}")
            assert status == 403, (path, method)
            assert "token" in text or method == "HEAD", path


def test_the_token_gives_a_cookie_and_the_cookie_the_page(served, entry):
    status, headers, text = ask(served.port, entry)
    assert (status, headers["Referrer-Policy"], headers["Cache-Control"]) == (200, "no-referrer", "no-store")
    assert entry not in text
    name, *flags = headers["Set-Cookie"].split("; ")
    assert set(flags) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert name.startswith(f"ephysfit-explore-{served.port}=")
    token, held = entry.split("=")[1], name.split("=")[1]
    status, _, page = ask(served.port, "/", Cookie=name)
    assert status == 200
    assert "ephysfit explore" in page
    assert token not in page  # bokeh writes what was asked into the page
    assert held not in page
    assert ask(served.port, "/static/js/bokeh.min.js", Cookie=name)[0] == 200
    assert ask(served.port, entry)[0] == 200  # again, in another window


@pytest.mark.parametrize("wrong", ["x", "", "é", "x" * 43, "0" * 10_000])
def test_a_wrong_token_or_cookie_is_refused(served, wrong):
    quoted = wrong.encode().decode("latin-1")
    status, headers, text = ask(served.port, f"/?token={'%C3%A9' if wrong == 'é' else wrong}")
    assert status == 403
    assert "Set-Cookie" not in headers
    assert "token" in text
    assert ask(served.port, "/", Cookie=f"ephysfit-explore-{served.port}={quoted}")[0] == 403


def test_the_token_opens_the_entrance_and_no_other_route(served, entry, cookie):
    token = entry.split("=")[1]
    assert ask(served.port, f"/static/js/bokeh.min.js?token={token}")[0] == 403
    assert ask(served.port, f"/?token={token}&token=wrong")[0] == 403
    name, value = cookie.split("=")
    assert ask(served.port, "/", Cookie=f"ephysfit-explore-1={value}")[0] == 403
    assert ask(served.port, "/", Cookie=f"{name}={token}")[0] == 403


def test_a_cookie_of_an_earlier_start_opens_nothing(served, cookie, folder):
    with_cookie = cookie.replace(str(served.port), "{}")
    other = ef.explore(folder)
    try:
        assert ask(other.port, "/", Cookie=with_cookie.format(other.port))[0] == 403
    finally:
        other.stop()


@pytest.mark.parametrize("module", ["antigravity", "this", "ephysfit_marker_of_the_test"])
def test_no_request_imports_a_module(served, cookie, module, tmp_path, monkeypatch):
    """The route of panel that serves the files of a component imports its module first; nothing here needs it."""
    (tmp_path / "ephysfit_marker_of_the_test.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop(module, None)
    path = f"/components/{module}/x/__css__/y.css"
    assert ask(served.port, path)[0] == 403
    assert ask(served.port, path, Cookie=cookie)[0] == 404
    assert module not in sys.modules


@pytest.mark.parametrize("path", ["/metadata", "/autoload.js", "/admin", "/rest/x", "/no/such/route", "//", "/ws/"])
def test_routes_that_the_page_does_not_need_are_closed_to_its_owner_too(served, cookie, path):
    assert ask(served.port, path, Cookie=cookie)[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd", "/static/../../../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/extensions/panel/../../../../../../../../etc/passwd", "/etc/passwd", "/known_LIF/fit.json",
        "/components/ephysfit.explorer.widgets/ParameterSliders/_esm/../../../../etc/passwd", "/?file=/etc/passwd",
    ],
)  # fmt: skip
def test_no_file_is_reachable_by_its_owner_either(served, cookie, path):
    status, _, body = ask(served.port, path, Cookie=cookie)
    assert "root:" not in body
    assert '"parameters"' not in body
    assert status >= 400 or path.startswith("/?")


@pytest.mark.parametrize("host", ["evil.example:{}", "localhost.evil.example:{}", "127.0.0.1", "127.0.0.1:1", "0:{}"])
def test_a_name_that_points_here_gets_no_page(served, entry, cookie, host):
    """DNS rebinding: the site's own name is what its requests name, and its origin equals it."""
    named = host.format(served.port)
    for path in ("/", entry, "/ws", "/static/js/bokeh.min.js"):
        status, headers, text = ask(served.port, path, Host=named, Origin=f"http://{named}", Cookie=cookie)
        assert status == 403
        assert "Set-Cookie" not in headers
        assert named in text
    for name in ("localhost", "127.0.0.1", "LOCALHOST"):
        assert ask(served.port, "/", Host=f"{name}:{served.port}", Cookie=cookie)[0] == 200


def shake(port, origin, cookie):
    """First line of the answer to a websocket."""
    lines = [
        "GET /ws HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: bokeh, x",
    ]  # fmt: skip
    lines += [f"Origin: {origin}"] if origin else []
    lines += [f"Cookie: {cookie}"] if cookie else []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return line.recv(200)


def test_a_socket_needs_the_cookie_and_the_pages_own_origin(served, cookie, monkeypatch):
    monkeypatch.setenv("BOKEH_ALLOW_WS_ORIGIN", "*")  # bokeh would let everybody in
    ours = f"http://127.0.0.1:{served.port}"
    assert b" 101 " in shake(served.port, ours, cookie)
    for origin in ("", "null", "http://evil.example", f"http://evil.example:{served.port}", "http://127.0.0.1:1"):
        assert b" 403 " in shake(served.port, origin, cookie), origin
    assert b" 403 " in shake(served.port, ours, "")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_pages_of_the_same_browser_cannot_ask(served, cookie, site):
    """Pages at other ports of this machine count as the same site, so that browsers send them the cookie along."""
    asked = {"Cookie": cookie, "Sec_Fetch_Site": site}
    assert ask(served.port, "/", **asked, Sec_Fetch_Mode="no-cors")[0] == 403
    assert ask(served.port, "/", **asked, Sec_Fetch_Mode="cors")[0] == 403
    assert ask(served.port, "/", **asked, Sec_Fetch_Mode="navigate")[0] == 200
    assert ask(served.port, "/", **{**asked, "Origin": "http://127.0.0.1:8888"})[0] == 403


ANOTHER = """
import sys, urllib.request, urllib.error
for path in ("/", "/ws", "/autoload.js", "/static/js/bokeh.min.js", "/components/antigravity/x/__css__/y"):
    try:
        print(urllib.request.urlopen(sys.argv[1] + path, timeout=20).status)
    except urllib.error.HTTPError as error:
        print(error.code)
try:
    print(open(sys.argv[2]).read())
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="only root can ask as another user")
def test_another_user_of_the_machine_gets_nothing(served, door):
    import pwd

    python = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no interpreter that another user can start")
    nobody = pwd.getpwnam("nobody")
    done = subprocess.run(
        [python, "-c", ANOTHER, f"http://127.0.0.1:{served.port}", str(door)], user=nobody.pw_uid,
        group=nobody.pw_gid, extra_groups=[], cwd="/", env={}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["403"] * 5 + ["PermissionError"], done.stderr


@pytest.fixture
def door(served, monkeypatch):
    """The file that a browser is given."""
    given = []
    monkeypatch.setattr(webbrowser, "open", given.append)
    served._server.show()
    (address,) = given
    assert "token" not in address  # command lines are for all to read
    return Path(urlsplit(address).path)


@pytest.mark.skipif(os.name == "nt", reason="there, others do not see command lines")
def test_a_browser_is_given_a_file_that_only_its_user_reads_and_that_goes_on_entering(served, door, entry):
    assert stat.S_IMODE(door.stat().st_mode) == 0o600
    assert served.url in door.read_text()
    enter(served.port, entry)
    assert not door.exists()


@pytest.mark.skipif(os.name == "nt", reason="there, others do not see command lines")
def test_a_browser_that_opens_the_file_sees_the_page(served, door):
    needed()
    with opened(door.as_uri()) as (page, troubles):
        page.wait_for_selector(READY, timeout=60_000)
        assert page.url == f"http://127.0.0.1:{served.port}/"
        assert page.evaluate("document.cookie + document.referrer") == ""
        assert troubles == []


class Notebook(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.body.encode() if self.path == "/" else b"")

    def log_message(self, *_):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_notebook_at_another_port_or_site_shows_the_page_in_a_frame(served, host):
    """Browsers call `localhost` and 127.0.0.1 different sites, as they do the page of an editor, and keep from frames
    of another site all cookies but such as say so."""
    needed()
    notebook = ThreadingHTTPServer(("127.0.0.1", 0), Notebook)
    notebook.body = f"<!doctype html><body>{served._repr_html_()}</body>"
    threading.Thread(target=notebook.serve_forever, daemon=True).start()
    try:
        with opened(f"http://{host}:{notebook.server_port}/") as (page, troubles):
            page.frame_locator("iframe").locator(READY).first.wait_for(timeout=60_000)
            assert troubles == []
    finally:
        notebook.shutdown()
        notebook.server_close()


@pytest.mark.slow
def test_a_page_of_another_site_gets_nothing_out_of_a_browser_that_has_the_page_open(served):
    """It asks as a script, an image, a form and a socket may."""
    needed()
    evil = ThreadingHTTPServer(("127.0.0.1", 0), Notebook)
    evil.body = "<!doctype html><body>evil</body>"
    threading.Thread(target=evil.serve_forever, daemon=True).start()
    script = """async (port) => {
        const base = `http://127.0.0.1:${port}`, got = [];
        for (const path of ['/', '/components/antigravity/x/__css__/y.css', '/static/js/bokeh.min.js'])
            for (const mode of ['cors', 'no-cors'])
                got.push(await fetch(base + path, {mode, credentials: 'include'}).then(r => r.ok, () => false));
        got.push(await new Promise(done => {
            const image = new Image();
            image.onload = () => done(true); image.onerror = () => done(false);
            image.src = base + '/favicon.ico';
        }));
        got.push(await new Promise(done => {
            const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, ['bokeh', 'x']);
            socket.onopen = () => done(true); socket.onerror = () => done(false);
        }));
        return got;
    }"""
    sys.modules.pop("antigravity", None)
    try:
        with opened(served.url) as (page, _):
            page.wait_for_selector(READY, timeout=60_000)
            assert page.evaluate(script, served.port)[4:] == [True] * 4  # from there it may
            for host in ("localhost", "127.0.0.1"):
                other = page.context.new_page()
                other.goto(f"http://{host}:{evil.server_port}/")
                got = other.evaluate(script, served.port)
                assert len(got) == 8
                assert not any(got), host
    finally:
        evil.shutdown()
        evil.server_close()
    assert "antigravity" not in sys.modules


def test_tokens_stay_out_of_the_log(served, entry, caplog):
    with caplog.at_level(logging.DEBUG):
        ask(served.port, entry, Host="evil.example")
        ask(served.port, entry)
        ask(served.port, "/?token=nearly")
    assert "403 GET /" in caplog.text
    assert entry.split("=")[1] not in caplog.text
    assert "nearly" not in caplog.text


def test_a_port_that_is_taken_in_between_is_told_and_not_trusted(folder, monkeypatch):
    from ephysfit.explorer import serve

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(serve, "_find_free_port", lambda _: other.getsockname()[1])
        with pytest.raises(RecordingError, match="cannot be served on port"):
            ef.explore(folder)


def test_the_command_prints_the_address_with_its_token(folder):
    command = [sys.executable, "-m", "ephysfit", "explore", str(folder), "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        try:
            url = running.stdout.readline().strip()
            parts = urlsplit(url)
            assert parts.query.startswith("token=")
            assert enter(parts.port, f"/?{parts.query}")
            assert ask(parts.port, "/")[0] == 403
        finally:
            running.terminate()
