"""The local server of the page, and `explore`, which starts it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ephysfit.errors import EphysfitError, RecordingError, needed
from ephysfit.explorer.shelf import Shelf

#: only this machine reaches the page
ADDRESS = "127.0.0.1"


class Explorer:
    """A running page.

    Attributes
    ----------
    url : str
    port : int
    """

    def __init__(self, url: str, port: int, server: Server) -> None:
        self.url, self.port, self._server = url, port, server

    def __repr__(self) -> str:
        return f"Explorer({self.url}; .stop() ends it)"

    def _repr_html_(self) -> str:
        """The page inside a notebook."""
        return (
            f'<iframe src="{self.url}" title="ephysfit explore" style="width:100%;height:860px;border:1px solid #8884;'
            f'border-radius:8px"></iframe><p style="font-size:12px">The same on a page of its own: '
            f'<a href="{self.url}" target="_blank">{self.url}</a></p>'
        )

    def wait(self) -> None:
        """Return when the server ends (Ctrl-C ends it)."""
        try:
            while self._server.thread.is_alive():
                self._server.thread.join(0.5)
        except KeyboardInterrupt:
            self.stop()

    def stop(self) -> None:
        """End the server and with it all its pages."""
        self._server.stop()


def explore(*what: Any, port: int = 0, models: Sequence[str] = (), show: bool = False) -> Explorer:
    """Open recordings and fits on an interactive page: parameters on sliders, spikes and scores follow.

    Parameters
    ----------
    *what : path, Recording or Fit
        Files of one cell, saved fits with their recordings, or folders of them (a batch run and its data).
    port : int
        0 takes a free one.
    models : sequence of str
        Neurons of your own beside the catalogue, ``my_file.py:Mine``.
    show : bool
        Open a browser.

    Returns
    -------
    Explorer
        In a notebook it shows itself; the page is served to this machine only and reads nothing but what was given.
        Where the kernel runs on another machine, forward the port to yours.

    Raises
    ------
    RecordingError
        If nothing that was given can be shown, or the port is taken.

    Examples
    --------
    >>> import ephysfit as ef
    >>> page = ef.explore("data/DRN164.nwb")  # doctest: +SKIP
    >>> page.stop()  # doctest: +SKIP
    """
    for module in ("bokeh", "panel"):  # panel brings bokeh
        needed(module, "explore", "the explorer", RecordingError)
    from ephysfit.explorer.session import Session

    shelf = Shelf.of(*what)
    session = Session(shelf, models)
    _opens(session)
    chosen = _free(port)
    name = ", ".join(Path(w).name if isinstance(w, str | Path) else getattr(w, "cell", "") for w in what)
    server = _start(shelf, tuple(models), chosen, name)
    made = Explorer(f"http://localhost:{chosen}", chosen, server)
    if show:
        import webbrowser

        webbrowser.open(made.url)
    return made


def _opens(session: Any) -> None:
    """That at least one cell can be read; else the first reason why not."""
    reasons: list[EphysfitError] = []
    for k in range(len(session.shelf.cells)):
        try:
            session.choose_cell(k)
            return
        except EphysfitError as error:
            reasons.append(error)
    raise reasons[0]


def _free(port: int) -> int:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((ADDRESS, port))
        except (OSError, OverflowError) as error:
            raise RecordingError(
                f"port {port} cannot be used ({error}); leave --port out to take a free one"
            ) from error
        return int(trial.getsockname()[1])


def _start(shelf: Shelf, models: tuple[str, ...], port: int, name: str) -> Server:
    import panel as pn

    from ephysfit.explorer.page import Page
    from ephysfit.explorer.session import Session

    pn.extension("tabulator", design="native", notifications=False)

    def make() -> Any:
        page = Page(Session(shelf, models), name)
        pn.state.on_session_destroyed(lambda _: page._stop())
        return page.template()

    return Server(make, port)


class Server:
    """A server of one page in a thread of its own."""

    def __init__(self, make: Callable[[], Any], port: int) -> None:
        self.make, self.port = make, port
        self.loop: Any = None
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, name="ephysfit explore", daemon=True)
        self.thread.start()
        self.ready.wait(60)

    def _run(self) -> None:
        import asyncio

        from panel.io.server import get_server
        from tornado.ioloop import IOLoop

        asyncio.set_event_loop(asyncio.new_event_loop())
        self.loop = IOLoop.current()
        hosts = [f"localhost:{self.port}", f"{ADDRESS}:{self.port}"]
        server = get_server(
            {"/": self.make}, port=self.port, address=ADDRESS, websocket_origin=hosts, loop=self.loop, show=False,
            start=False, verbose=False, title="ephysfit explore", location=False,
        )  # fmt: skip
        only_to(hosts, server._tornado)
        server.start()
        self.loop.add_callback(self.ready.set)
        self.loop.start()
        server.stop()

    def stop(self) -> None:
        """End the thread; pages stop answering."""
        if self.thread.is_alive():
            self.loop.add_callback(self.loop.stop)
            self.thread.join(10)


def only_to(hosts: Sequence[str], application: Any) -> None:
    """Refuse requests that name another host. A site whose name was made to point here (DNS rebinding) sends its own
    name, and its origin equals it, so that a list of allowed origins alone does not keep it out."""
    from tornado.web import ErrorHandler

    found = application.find_handler

    def guarded(request: Any, **options: Any) -> Any:
        if request.host.lower() not in hosts:
            return application.get_handler_delegate(request, ErrorHandler, {"status_code": 403})
        return found(request, **options)

    application.find_handler = guarded
