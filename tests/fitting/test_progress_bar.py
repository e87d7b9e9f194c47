"""A fit shows its progress where somebody looks, and nowhere else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import ephysfit as ef
from ephysfit.fitting.progress_bar import show_progress_by_default, somebody_looks
from ephysfit.models import LIF

CELL = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-52.0, V_reset=-62.0, t_ref=2.0, delta=1.0)


class Terminal(io.StringIO):
    """Text that passes for a terminal."""

    def isatty(self) -> bool:
        return True


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """stderr as a terminal; within a test, because pytest sets stderr anew after fixtures."""
    with monkeypatch.context() as patch:
        made = Terminal()
        patch.setattr("sys.stderr", made)
        patch.setenv("TERM", "xterm")
        yield made


@pytest.fixture(scope="module")
def data() -> ef.Recording:
    return ef.synthetic.recording(CELL, duration=2000.0, repeats=0, dt=0.5)


def stages() -> list:
    return [ef.stages.Passive(), ef.stages.Likelihood(steps=2, starts=1)]


def test_a_terminal_sees_a_bar(monkeypatch, data):
    with terminal(monkeypatch) as seen:
        ef.fit(data, "LIF", stages())
    assert "likelihood" in seen.getvalue()


def test_a_terminal_sees_nothing_if_told_so(monkeypatch, data):
    with terminal(monkeypatch) as seen:
        ef.fit(data, "LIF", stages(), progress=False)
    assert seen.getvalue() == ""


def test_a_file_sees_nothing(data, capsys):
    ef.fit(data, "LIF", stages())
    assert capsys.readouterr().err == ""
    assert not somebody_looks()


def test_a_listener_of_ones_own_takes_the_place_of_the_bar(monkeypatch, data):
    told = []
    with terminal(monkeypatch) as seen:
        ef.fit(data, "LIF", stages(), progress=lambda stage, fraction: told.append(stage))
    assert "likelihood" in told
    assert seen.getvalue() == ""


def test_a_bar_can_be_asked_for(capsys):
    with show_progress_by_default(True) as listener:
        listener("likelihood", 0.5)
