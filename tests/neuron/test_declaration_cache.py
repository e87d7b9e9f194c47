"""What is kept of a declaration on disk is found again, and never for a declaration that says something else."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from ephysfit.errors import CacheWarning
from ephysfit.models import catalogue
from ephysfit.models.alif import ALIF
from ephysfit.models.lif import LIF
from ephysfit.neuron import declaration_cache as keeping
from ephysfit.neuron.affine import matrices
from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.fingerprint import fingerprint_of
from ephysfit.neuron.plan import plan
from ephysfit.neuron.stepping import step
from ephysfit.neuron.symbols import equations

HELPER = """
SCALE = 2.0
def pull(v):
    return inner(v) * SCALE
def inner(v):
    return v + 0.0
"""
CELL = """
from functools import partial
import numpy as np
from ephysfit.neuron.declare import Neuron, Parameter, State
import helper_of_a_user as h

SHIFT = 1.0
TABLE = {"k": (1.0, 2.0), "l": np.array([3.0])}

def scaled(x, by=1.0):
    return x * by

def maker(k):
    def made(x):
        return k * x
    return made

thrice = maker(3.0)
twice = partial(scaled, by=2.0)

class Cell(Neuron):
    tau = Parameter("ms", 1.0, 100.0, "time constant", start=10.0)
    k = Parameter("mV", 1.0, 100.0, start=10.0)
    V = State("mV", rest=0.0)
    FACTOR = 1.5

    def flow(self, x, I):
        return {"V": (-h.pull(x.V) * self.FACTOR - scaled(thrice(x.V)) + twice(I) * 0.1) / self.tau + self.extra(x)}

    def extra(self, x):
        return SHIFT * x.V * TABLE["k"][1] + TABLE["l"][0] + 0 * int("1" in {"1", "2", "3"})

    def margin(self, x):
        return x.V - self.k

    def jump(self, x):
        return {"V": 0.0}

Pinned = Cell.pin("Pinned", k=lambda p: p.tau * 2.0)
"""


def loaded(folder, name, text):
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    exec(compile(text, str(path), "exec"), module.__dict__)  # not by way of .pyc files, which trust time stamps
    return module


def declared(folder, monkeypatch, cell=CELL, helper=HELPER):
    monkeypatch.setitem(sys.modules, "helper_of_a_user", loaded(folder, "helper_of_a_user", helper))
    module = loaded(folder, "cell_of_a_user", cell)
    return module.Cell, module.Pinned


CHANGES = [
    ("cell", "SHIFT = 1.0", "SHIFT = 1.25"),
    ("cell", "by=1.0", "by=1.5"),
    ("cell", "maker(3.0)", "maker(4.0)"),
    ("cell", "by=2.0", "by=2.5"),
    ("cell", "FACTOR = 1.5", "FACTOR = 1.75"),
    ("cell", "(1.0, 2.0)", "(1.0, 2.5)"),
    ("cell", "[3.0]", "[3.5]"),
    ("cell", "-h.pull", "+h.pull"),
    ("cell", "rest=0.0", "rest=0.5"),
    ("helper", "SCALE = 2.0", "SCALE = 3.0"),
    ("helper", "v + 0.0", "v + 1.0"),
]


@pytest.mark.parametrize(("where", "old", "new"), CHANGES)
def test_whatever_an_equation_reads_is_in_its_content(tmp_path, monkeypatch, where, old, new):
    monkeypatch.setenv("EPHYSFIT_CACHE", str(tmp_path / "cache"))
    texts = {"cell": CELL, "helper": HELPER}
    assert old in texts[where]
    before, _ = declared(tmp_path, monkeypatch)
    first = matrices(before.start())
    after, _ = declared(tmp_path, monkeypatch, **{where: texts[where].replace(old, new)})
    assert fingerprint_of(before) != fingerprint_of(after)
    second = matrices(after.start())
    assert any(not torch.equal(first[k], second[k]) for k in first)  # nothing stale was found


def test_a_tie_is_part_of_a_pinned_neuron(tmp_path, monkeypatch):
    _, before = declared(tmp_path, monkeypatch)
    _, after = declared(tmp_path, monkeypatch, cell=CELL.replace("p.tau * 2.0", "p.tau * 3.0"))
    assert fingerprint_of(before) != fingerprint_of(after)


def test_where_a_declaration_stands_does_not_matter(tmp_path, monkeypatch):
    before, tied = declared(tmp_path, monkeypatch)
    after, tied_after = declared(tmp_path, monkeypatch, cell="# a comment\n\n" + CELL, helper="\n" + HELPER)
    assert before is not after
    assert fingerprint_of(before) == fingerprint_of(after)
    assert fingerprint_of(tied) == fingerprint_of(tied_after)


def test_what_cannot_be_followed_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("EPHYSFIT_CACHE", str(tmp_path / "cache"))
    odd = CELL.replace("SHIFT = 1.0", "class Odd:\n    one = 1.0\n\nSHIFT = Odd()").replace(
        "SHIFT * x", "SHIFT.one * x"
    )
    neuron, _ = declared(tmp_path, monkeypatch, cell=odd)
    assert fingerprint_of(neuron) is None
    assert coefficients(neuron.start(), 0.1).isfinite().all()
    assert not (tmp_path / "cache").exists()


def test_a_global_changed_after_the_class_was_read_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("EPHYSFIT_CACHE", str(tmp_path / "cache"))
    neuron, _ = declared(tmp_path, monkeypatch)
    fingerprint_of(neuron)
    sys.modules["helper_of_a_user"].SCALE = 5.0
    plan(neuron)
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_every_neuron_of_the_catalogue_can_be_kept():
    hashes = [fingerprint_of(n) for n in catalogue().values()]
    assert None not in hashes
    assert len(set(hashes)) == len(hashes)


def test_content_is_the_same_in_every_process():
    code = (
        "from ephysfit.models.alif import ALIF; from ephysfit.neuron.fingerprint import fingerprint_of as of; "
        "print(of(ALIF))"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == fingerprint_of(ALIF)


@pytest.mark.parametrize("damage", ["", "[1, 2", '{"a": 1}', "null\0"])
def test_a_damaged_file_is_read_anew(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("EPHYSFIT_CACHE", str(tmp_path))
    monkeypatch.setattr("ephysfit.disk_cache._WARNED", set())
    calls = []

    def reading(neuron):
        calls.append(neuron)
        return ["a", [1, 2.5]]

    assert keeping.remembered_on_disk(reading)(LIF) == ("a", (1, 2.5))
    assert keeping.remembered_on_disk(reading)(LIF) == ("a", (1, 2.5))
    assert len(calls) == 1  # the second came from disk
    (path,) = tmp_path.rglob("*.json")
    path.write_text(damage)
    with pytest.warns(CacheWarning, match="damaged"):
        assert keeping.remembered_on_disk(reading)(LIF) == ("a", (1, 2.5))
    assert keeping.remembered_on_disk(reading)(LIF) == ("a", (1, 2.5))
    assert len(calls) == 2  # and it is whole again


def test_a_plan_says_what_the_symbols_say():
    p, s, eq = plan(ALIF), step(ALIF), equations(ALIF)
    assert (p.states, p.parameters, p.inputs, p.held) == (s.states, eq.parameters, s.inputs, eq.held)
    assert (p.coefs, p.entries, p.affine) == (s.coefs, s.entries, s.affine)
    assert [n for n, _ in p.gathered] == [n for n, _ in s.gathered]
