"""The local server of the page, and `explore`, which starts it."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ephysfit.errors import EphysfitError, RecordingError, needed
from ephysfit.explorer.library import Library
from ephysfit.explorer.session import Session

#: the page is reachable from this machine only
ADDRESS = "127.0.0.1"
#: file that redirects a browser to the page
DOOR = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={url}"><title>ephysfit explore</title><a href="{url}">to the page</a></html>
"""


class Explorer:
    """A running page.

    Attributes
    ----------
    url : str
        Address with the token that opens the page; anyone who has it can use the page.
    port : int
    """

    def __init__(self, url: str, port: int, server: Server) -> None:
        self.url, self.port, self._server = url, port, server

    def __repr__(self) -> str:
        return f"Explorer({self.url}; .stop() ends it)"

    def _repr_html_(self) -> str:
        """Show the page inside a notebook."""
        return (
            f'<iframe src="{self.url}" title="ephysfit explore" style="width:100%;height:860px;border:1px solid #8884;'
            f'border-radius:8px"></iframe><p style="font-size:12px">The same on a page of its own: '
            f'<a href="{self.url}" target="_blank">{self.url}</a></p>'
        )

    def wait(self) -> None:
        """Wait until the server ends (Ctrl-C ends it)."""
        try:
            while self._server.thread.is_alive():
                self._server.thread.join(0.5)
        except KeyboardInterrupt:
            self.stop()

    def stop(self) -> None:
        """Stop the server and all its pages."""
        self._server.stop()


def explore(*what: Any, port: int = 0, models: Sequence[str] = (), show: bool = False) -> Explorer:
    """Explore recordings and fits on an interactive page: sliders for the parameters, live spikes and scores.

    Parameters
    ----------
    *what : path, Recording or Fit
        Files of one cell, saved fits with their recordings, or folders of them (a batch run and its data).
    port : int
        Port of the server; 0 takes a free one.
    models : sequence of str
        Neurons of your own besides the catalogue, ``my_file.py:Mine``.
    show : bool
        Whether to open a browser.

    Returns
    -------
    Explorer
        In a notebook it is displayed. The page is served to this machine only, opens only with the token in its
        address, and reads nothing but the given data. If the kernel runs on another machine, forward the port to the
        same port of yours.

    Raises
    ------
    RecordingError
        If none of the given data can be shown, or the port is in use.

    Examples
    --------
    >>> import ephysfit as ef
    >>> page = ef.explore("data/DRN164.nwb")  # doctest: +SKIP
    >>> page.stop()  # doctest: +SKIP
    """
    for module in ("bokeh", "panel"):  # panel brings bokeh
        needed(module, "explore", "the explorer", RecordingError)
    library = Library.of(*what)
    session = Session(library, models)
    _check_a_cell_opens(session)
    chosen = _find_free_port(port)
    name = ", ".join(Path(w).name if isinstance(w, str | Path) else getattr(w, "cell", "") for w in what)
    server = _start_server(library, tuple(models), chosen, name)
    if show:
        server.show()
    return Explorer(server.gate.url, chosen, server)


def _check_a_cell_opens(session: Any) -> None:
    """Check that at least one cell can be read; otherwise raise the first error."""
    reasons: list[EphysfitError] = []
    for k in range(len(session.library.cells)):
        try:
            session.choose_cell(k)
            return
        except EphysfitError as error:
            reasons.append(error)
    raise reasons[0]


def _find_free_port(port: int) -> int:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((ADDRESS, port))
        except (OSError, OverflowError) as error:
            raise RecordingError(
                f"port {port} cannot be used ({error}); leave --port out to take a free one"
            ) from error
        return int(trial.getsockname()[1])


def _start_server(library: Library, models: tuple[str, ...], port: int, name: str) -> Server:
    import panel as pn

    from ephysfit.explorer.browser_page import Page  # needs panel

    pn.extension("tabulator", design="native", notifications=False)

    def make() -> Any:
        page = Page(Session(library, models), name)
        pn.state.on_session_destroyed(lambda _: page._end_fit())
        return page.template()

    return Server(make, port)


class Server:
    """Serves one page in a thread of its own."""

    def __init__(self, make: Callable[[], Any], port: int) -> None:
        from ephysfit.explorer.gate import Gate  # needs tornado, which panel brings

        self.make, self.port, self.gate = make, port, Gate(port, self._entered)
        self.loop: Any = None
        self.application: Any = None
        self.door: Any = None
        self.fault: Exception | None = None
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, name="ephysfit explore", daemon=True)
        self.thread.start()
        self.ready.wait(60)
        if self.fault is not None or not self.ready.is_set():
            raise RecordingError(f"the page cannot be served on port {port} ({self.fault or 'no answer for 60 s'})")

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # in a thread: `explore` raises it
            self.fault = error
            self.ready.set()

    def _serve(self) -> None:
        from panel.io.server import get_server
        from tornado.ioloop import IOLoop

        asyncio.set_event_loop(asyncio.new_event_loop())
        self.loop = IOLoop.current()
        server = get_server(
            {"/": self.make}, port=self.port, address=ADDRESS, websocket_origin=self.gate.hosts, loop=self.loop,
            show=False, start=False, verbose=False, title="ephysfit explore", location=False,
            include_cookies=[], include_headers=[],  # bokeh would write them into the page, where scripts read them
        )  # fmt: skip
        self.application = server._tornado
        self.gate.guard(self.application)
        server.start()
        self.loop.add_callback(self.ready.set)
        self.loop.start()
        server.stop()

    def show(self) -> None:
        """Open a browser.

        Command lines are visible to all users of a machine, so the browser is started not with the address but with a
        file that redirects to it and that only this user can read; the file is deleted when the page opens.
        """
        if os.name == "nt" or "microsoft" in platform.release().lower():
            webbrowser.open(self.gate.url)  # command lines are private there, or (WSL) the browser cannot read the file
            return
        # browsers installed as snaps see the home folder, but have a /tmp of their own
        folder = Path.home() if Path("/snap/bin").is_dir() else None
        self.door = NamedTemporaryFile(  # noqa: SIM115  # closing deletes it
            "w", prefix="ephysfit-explore-", suffix=".html", dir=folder, encoding="utf-8"
        )
        self.door.write(DOOR.format(url=self.gate.url))
        self.door.flush()
        webbrowser.open(Path(self.door.name).as_uri())

    def _entered(self) -> None:
        if self.door is not None:
            self.door.close()
            self.door = None

    def stop(self) -> None:
        """Stop the server and end its thread."""
        self._entered()
        if self.thread.is_alive():
            self.loop.add_callback(self.loop.stop)
            self.thread.join(10)
