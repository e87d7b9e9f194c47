"""Who may have the page: whoever holds the token of its address, and a cookie from then on.

The gate stands before the routes, so that none is forgotten: neither those of panel and bokeh (one of which imports any
module that it is asked for) nor those that a later version adds. Every program and user of a machine reaches its ports,
and every web page can send requests to them; none of these knows the token.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
from collections.abc import Callable
from typing import Any

from tornado.web import RequestHandler

#: by which this machine is named; a site whose name was made to point here (DNS rebinding) sends its own
NAMES = ("127.0.0.1", "localhost")
#: routes that the page needs; all others are closed, also to its owner
OPEN = re.compile(r"/|/ws|/favicon\.ico|/static/.+")
NO_TOKEN = (
    "This page is only for whoever started it: open the address that was printed at its start, with its token. If you "
    "did, your browser keeps no cookies here: allow them for this address, or open it in a window of its own."
)
WRONG_TOKEN = (
    "The token in this address is not that of this page: each start makes a new one. Open the address that was printed "
    "last."
)
#: sets the cookie, then goes on without the token, which so stays out of the history and of what other sites are told
ENTERED = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url=/"><title>ephysfit explore</title><a href="/">to the page</a></html>"""


class Gate:
    """Token, cookie and host names of one server.

    Parameters
    ----------
    port : int
    entered : callable
        Called when somebody came in by the token.

    Attributes
    ----------
    token : str
        256 random bits; compared in constant time.
    url : str
        With the token. It names the number: another user may listen at ``localhost`` of the newer kind, ``::1``, which
        browsers try first.
    hosts : list of str
        What a request may name as its host, and a browser as its origin.
    """

    def __init__(self, port: int, entered: Callable[[], None] = lambda: None) -> None:
        self.token, self._pass = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.url = f"http://{NAMES[0]}:{port}/?token={self.token}"
        self.hosts = [f"{name}:{port}" for name in NAMES] + (list(NAMES) if port == 80 else [])
        #: browsers send cookies to all ports of a host, so that the name tells ours from those of other servers
        self.cookie = f"ephysfit-explore-{port}"
        self.entered = entered

    def guard(self, application: Any) -> None:
        """Stand before all routes of a tornado application, and keep tokens out of its log."""
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
        """Status and reason of a refusal; no reason where the request may pass."""
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
        """Why a request comes from another site; empty where it does not."""
        host, headers = request.host.lower(), request.headers
        if host not in self.hosts:
            return f"This page answers to {', '.join(self.hosts)} and not to the name {host[:100]!r}."
        origin = headers.get("Origin")
        if origin is None and request.path == "/ws":
            return "A connection to this page has to name its origin, as browsers do."
        if origin is not None and origin.lower() not in {f"http://{name}" for name in self.hosts}:
            return f"A page of {origin[:100]!r} may not ask this one."
        elsewhere = headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
        if elsewhere and headers.get("Sec-Fetch-Mode") != "navigate":
            return "A page of another site may not ask this one."
        return ""

    def cookies(self, request: Any) -> list[str]:
        """What is set at the entrance. In a frame of another site, such as a notebook in an editor, browsers keep only
        cookies that say so, and `Partitioned` ties them to that site."""
        common = f"{self.cookie}={self._pass}; Path=/; HttpOnly"
        framed = request.headers.get("Sec-Fetch-Dest") in ("iframe", "frame", "embed", "object")
        if framed and request.headers.get("Sec-Fetch-Site") == "cross-site":
            return [f"{common}; SameSite=None; Secure; Partitioned"]
        return [f"{common}; SameSite=Strict"]


class Entrance(RequestHandler):
    """Gives the cookie to whoever has the token."""

    def initialize(self, gate: Gate) -> None:
        self.gate = gate

    def get(self) -> None:
        for cookie in self.gate.cookies(self.request):
            self.add_header("Set-Cookie", cookie)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.gate.entered()
        self.finish(ENTERED)


class Refusal(RequestHandler):
    """Says why not, whatever was asked and however."""

    def initialize(self, status: int, sentence: str) -> None:
        self.status, self.sentence = status, sentence

    def prepare(self) -> None:
        self.set_status(self.status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(self.sentence + "\n")


def _log_refusal(handler: Any) -> None:
    """What failed, by its path: queries hold tokens."""
    if handler.get_status() >= 400:
        asked = handler.request
        logging.getLogger("tornado.access").warning("%d %s %s", handler.get_status(), asked.method, asked.path)
