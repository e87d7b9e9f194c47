"""A small http server on this machine that answers range requests and counts the bytes it sends."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site(ThreadingHTTPServer):
    """Pages by path, and what was sent."""

    daemon_threads = True

    def __init__(self, pages, ranges=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.ranges, self.sent, self.requests = pages, ranges, 0, 0
        self.root = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        site = self.server
        body = site.pages.get(self.path.split("?")[0])
        site.requests += 1
        if isinstance(body, str):
            self.send_response(302)
            self.send_header("Location", body)
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
        self.send_response(status)
        self.send_header("Content-Length", str(len(part)))
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
def serving(pages, ranges=True):
    site = Site(pages, ranges)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        site.shutdown()
        site.server_close()
