"""Access control of the page: the token in its address, then a cookie.

The check precedes all routes, so that none is left open: neither those of panel and bokeh (one of which imports any
module named in a request) nor those of later versions. Every program and user of a machine reaches its ports, and every
web page can send requests to them, but none of these knows the token.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
from collections.abc import Callable
from typing import Any

from tornado.web import RequestHandler

#: host names of this machine; a site whose name resolves to it (DNS rebinding) sends its own name
NAMES = ("127.0.0.1", "localhost")
#: routes that the page needs; all others are closed, also to its user
OPEN = re.compile(r"/|/ws|/favicon\.ico|/static/.+")
NO_TOKEN = (
    "This page opens only with the token in the address that was printed at its start. If you used that address, "
    "your browser stores no cookies here: allow them for this address, or open it in a separate window."
)
WRONG_TOKEN = (
    "The token in this address is not that of this page: each start creates a new one. Open the address that was "
    "printed last."
)
#: redirects to the address without the token, so that it stays out of the history and of referrers
ENTERED = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url=/"><title>ephysfit explore</title><a href="/">to the page</a></html>"""


class Gate:
    """Token, cookie and host names of one server.

    Parameters
    ----------
    port : int
    entered : callable
        Called when a request has brought the token.

    Attributes
    ----------
    token : str
        256 random bits; compared in constant time.
    url : str
        Address with the token. It holds the IPv4 address, because another user may listen at ``::1``, which
        browsers try first for ``localhost``.
    hosts : list of str
        Host names that a request may carry as host and as origin.
    """

    def __init__(self, port: int, entered: Callable[[], None] = lambda: None) -> None:
        self.token, self._pass = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.url = f"http://{NAMES[0]}:{port}/?token={self.token}"
        self.hosts = [f"{name}:{port}" for name in NAMES] + (list(NAMES) if port == 80 else [])
        #: browsers send cookies to all ports of a host, so the name distinguishes ours from those of other servers
        self.cookie = f"ephysfit-explore-{port}"
        self.entered = entered

    def guard(self, application: Any) -> None:
        """Check every request of a tornado application, and keep tokens out of its log."""
        find = application.find_handler

        def guarded(request: Any, **options: Any) -> Any:
            status, sentence = self.verdict(request)
            if sentence:
                return application.get_handler_delegate(request, Refusal, {"status": status, "sentence": sentence})
            if "token" in request.query_arguments:
                return application.get_handler_delegate(request, Entrance, {"gate": self})
            return find(request, **options)

        application.find_handler = guarded
        application.settings["log_function"] = _log_refusal

    def verdict(self, request: Any) -> tuple[int, str]:
        """Return status and reason of a refusal; the reason is empty where the request may pass."""
        foreign = self._foreign(request)
        if foreign:
            return 403, foreign
        tokens = request.query_arguments.get("token") if request.path == "/" else None
        if tokens:
            right = hmac.compare_digest(tokens[-1], self.token.encode())
            return (200, "") if right else (403, WRONG_TOKEN)
        held = request.cookies.get(self.cookie)
        if held is None or not hmac.compare_digest(held.value.encode(), self._pass.encode()):
            return 403, NO_TOKEN
        return (200, "") if OPEN.fullmatch(request.path) else (404, "There is nothing here but the page itself, at /.")

    def _foreign(self, request: Any) -> str:
        """Explain why a request counts as one of another site; empty where it does not."""
        host, headers = request.host.lower(), request.headers
        if host not in self.hosts:
            return f"This page answers to {', '.join(self.hosts)} and not to the name {host[:100]!r}."
        origin = headers.get("Origin")
        if origin is None and request.path == "/ws":
            return "A connection to this page must name its origin, as browsers do."
        if origin is not None and origin.lower() not in {f"http://{name}" for name in self.hosts}:
            return f"A page of {origin[:100]!r} may not send requests to this one."
        elsewhere = headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
        if elsewhere and headers.get("Sec-Fetch-Mode") != "navigate":
            return "A page of another site may not send requests to this one."
        return ""

    def cookies(self, request: Any) -> list[str]:
        """Return the cookies that a request with the token gets.

        In a frame of another site, such as a notebook in an editor, browsers accept only cookies marked for it, and
        `Partitioned` ties them to that site.
        """
        common = f"{self.cookie}={self._pass}; Path=/; HttpOnly"
        framed = request.headers.get("Sec-Fetch-Dest") in ("iframe", "frame", "embed", "object")
        if framed and request.headers.get("Sec-Fetch-Site") == "cross-site":
            return [f"{common}; SameSite=None; Secure; Partitioned"]
        return [f"{common}; SameSite=Strict"]


class Entrance(RequestHandler):
    """Sets the cookie of a request with the token."""

    def initialize(self, gate: Gate) -> None:
        """Store the gate."""
        self.gate = gate

    def get(self) -> None:
        """Set the cookie and redirect."""
        for cookie in self.gate.cookies(self.request):
            self.add_header("Set-Cookie", cookie)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.gate.entered()
        self.finish(ENTERED)


class Refusal(RequestHandler):
    """Answers any request with the reason of its refusal."""

    def initialize(self, status: int, sentence: str) -> None:
        """Store status and reason."""
        self.status, self.sentence = status, sentence

    def prepare(self) -> None:
        """Send the reason."""
        self.set_status(self.status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(self.sentence + "\n")


def _log_refusal(handler: Any) -> None:
    """Log a failed request by its path only, because queries hold tokens."""
    if handler.get_status() >= 400:
        request = handler.request
        logging.getLogger("tornado.access").warning("%d %s %s", handler.get_status(), request.method, request.path)
