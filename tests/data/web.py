"""A small http server on this machine that answers range requests and counts the bytes it sends."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site(ThreadingHTTPServer):
    """Pages by path, and what was sent."""

    daemon_threads = True

    def __init__(self, pages, ranges=True, behave=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.ranges, self.sent, self.requests = pages, ranges, 0, 0
        #: of a server that does not do as it should: (handler, whole body, part asked for) -> whether it has answered
        self.behave = behave
        self.root = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        site = self.server
        body = site.pages.get(self.path.split("?")[0])
        site.requests += 1
        if isinstance(body, str):
            self.send_response(302)
            self.send_header("Location", body)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if body is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        part, status = body, 200
        if asked and site.ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            part, status = body[int(first) : int(last) + 1 if last else None], 206
        if site.behave is not None and site.behave(self, body, part):
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(part)))
        if status == 206:
            begin = int(asked.removeprefix("bytes=").partition("-")[0])
            self.send_header("Content-Range", f"bytes {begin}-{begin + len(part) - 1}/{len(body)}")
        self.end_headers()
        if not asked and len(part) > 10**6:
            site.sent += 65536  # the length was wanted: whoever asks hangs up after the headers
            try:
                self.wfile.write(part[:65536])
            except OSError:
                return
            self.close_connection = True
            return
        site.sent += len(part)
        self.wfile.write(part)

    def log_message(self, *_):
        pass


@contextmanager
def serving(pages, ranges=True, behave=None):
    site = Site(pages, ranges, behave)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        site.shutdown()
        site.server_close()
