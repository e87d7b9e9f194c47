"""A fit that runs beside the page: started, watched, stopped."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ephysfit.data.recording import Recording

#: told every line of the worker: stage and fraction, loss and values, at last the fit or an error
Listener = Callable[[Mapping[str, Any]], None]


class Background:
    """One fit in a process of its own.

    Parameters
    ----------
    recording : Recording
        Training data.
    model : str
    dt : float, ms
    listener : callable
        Called from a thread with every line; the last one holds "fit" or "error".
    """

    def __init__(self, recording: Recording, model: str, dt: float, listener: Listener, seed: int = 0) -> None:
        self.listener, self.stopped = listener, False
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ephysfit.explorer.fit_worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        self.job = pickle.dumps({"recording": recording, "model": model, "dt": dt, "seed": seed})
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """End the fit; the listener hears that it was stopped."""
        self.stopped = True
        self.process.terminate()

    def _listen(self) -> None:
        process = self.process
        assert process.stdin
        assert process.stdout
        drain = threading.Thread(target=self._drain, daemon=True)
        drain.start()
        ended = False
        try:
            process.stdin.write(self.job)
            process.stdin.close()
            for raw in process.stdout:
                line = json.loads(raw)
                ended = ended or "fit" in line or "error" in line
                self.listener(line)
        except BrokenPipeError:
            pass  # it died before it read its job; told below
        process.wait()
        drain.join()
        if not ended:
            said = self.said.decode(errors="replace").strip().splitlines()
            why = "stopped" if self.stopped else f"the fit ended by itself ({said[-1] if said else process.returncode})"
            self.listener({"error": why})

    said = b""

    def _drain(self) -> None:
        assert self.process.stderr
        self.said = self.process.stderr.read()[-4000:]
