"""A fit in a process of its own: told line by line, and stopped at any moment."""

import queue

import numpy as np
import pytest
from explorer_cells import DT, recording

import ephysfit as ef
from ephysfit.explorer.background import Background
from ephysfit.explorer.library import Library
from ephysfit.explorer.session import Session


@pytest.mark.slow
def test_a_fit_tells_where_it_stands_and_ends_as_fit_does():
    train, _ = recording().split()
    lines: queue.Queue = queue.Queue()
    job = Background(train, "LIF", DT, lines.put)
    heard = []
    while not heard or not ({"fit", "error"} & set(heard[-1])):
        heard.append(lines.get(timeout=240))
    assert "fit" in heard[-1], heard[-1]
    job.thread.join(10)
    steps = [h for h in heard if h.get("values")]
    losses = [h["loss"] for h in steps if h["stage"] == "likelihood"]
    assert len(losses) > 3
    assert min(losses) < losses[0]
    assert set(steps[0]["values"]) == set(heard[-1]["fit"]["parameters"])
    session = Session(Library.of(recording()))
    session.choose_cell(0)
    session.add_fit(heard[-1]["fit"])
    here = ef.fit(train, "LIF", dt=DT)
    assert session.now.fit.parameters() == here.parameters()


def test_a_fit_can_be_stopped():
    train, _ = recording().split()
    lines: queue.Queue = queue.Queue()
    job = Background(train, "AdEx", DT, lines.put)
    job.stop()
    job.thread.join(30)
    assert not job.running
    assert lines.get(timeout=5) == {"error": "stopped"}


def test_an_error_of_the_fit_is_told():
    flat = ef.Recording.of(np.ones(4000), DT, spike_times=[100.0 * k for k in range(1, 19)], cell="flat")
    lines: queue.Queue = queue.Queue()
    Background(flat, "AIGIF", DT, lines.put)
    heard: dict = {}
    while not {"fit", "error"} & set(heard):
        heard = lines.get(timeout=120)
    assert "flat: the current is 1 pA throughout" in heard["error"]
