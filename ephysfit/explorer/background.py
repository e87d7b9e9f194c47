"""Run a fit in a process beside the page."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ephysfit.data.recording import Recording

#: called with every line of the worker: stage and fraction, loss and values, finally the fit or an error
Listener = Callable[[Mapping[str, Any]], None]


class Background:
    """One fit in a separate process.

    Parameters
    ----------
    recording : Recording
        Training data.
    model : str
        "auto" or the name of a model.
    dt : float, ms
        Step of the fit.
    listener : callable
        Called from a thread with every line; the last one holds "fit" or "error".
    seed : int
        Random seed of the fit.
    """

    def __init__(self, recording: Recording, model: str, dt: float, listener: Listener, seed: int = 0) -> None:
        self.listener, self.stopped, self.error_output = listener, False, b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ephysfit.explorer.fit_worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        self.job = pickle.dumps({"recording": recording, "model": model, "dt": dt, "seed": seed})
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    @property
    def running(self) -> bool:
        """Whether the process is still running."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Stop the fit; the listener is called with the error "stopped"."""
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
            pass  # the process ended before it read its job; reported below
        process.wait()
        drain.join()
        if not ended:
            lines = self.error_output.decode(errors="replace").strip().splitlines()
            detail = lines[-1] if lines else process.returncode
            why = "stopped" if self.stopped else f"the fit ended by itself ({detail})"
            self.listener({"error": why})

    def _drain(self) -> None:
        assert self.process.stderr
        self.error_output = self.process.stderr.read()[-4000:]
