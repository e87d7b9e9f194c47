"""Text of a data file stays text in every export, whatever it holds."""

import ast
import io
import json
import subprocess
import sys
import tokenize
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.provenance import Provenance
from ephysfit.fitting.stage_reports import Reports, SelectionReport
from ephysfit.models.alif import ALIF
from ephysfit.models.lif import LIF
from ephysfit.neuron.declare import Parameter
from ephysfit.reports.export import export, export_texts

NASTY = (
    'c"""\nopen("ran_by_data","w").write("x")\n"""', "c'''\nimport os\n'''", "cell -- 2", "-->", "<!-- x",
    "a\\", "a\\\\\"",
    '"', "'", "&amp;<b>", "]]>", "{{ 7*7 }}{% raw %}", "{cell}", "${x}", "%s%n", "\x00\x1b[31m\x07", "a\rimport os",
    "a\u2028import os", "a\x0bimport os", "a\x85import os", "\ud800\udcff", "é\u202emirror", "x" * 3000, "# y",
    "\ufeff", "",
)  # fmt: skip
SCRIPTS = ("brian2", "python", "nest")


def fit(text="plain", kind=LIF):
    """A fit that carries a text in every field that can travel."""
    cell = kind.start()
    made = Provenance(date=text, recording=text, version=text, sweeps=(text,))
    return Fit(cell, text, 0.5, warnings=(text,), provenance=made, reports=Reports(SelectionReport((), 0.0, text)))


def bare(script):
    """A program without the values of its strings."""

    class Blank(ast.NodeTransformer):
        def visit_Constant(self, node):
            return ast.Constant("") if isinstance(node.value, str) else node

    return ast.dump(Blank().visit(ast.parse(script)))


def code(nestml):
    """NESTML without what stands behind hashes, nor the model's name."""
    return [line.partition("#")[0].rstrip() for line in nestml.splitlines() if not line.startswith("model ")]


def shape(xml):
    """An XML tree by names of elements and attributes."""
    elements = ElementTree.fromstring(xml).iter()
    return [("cell" if e.tag.startswith(("LIF_", "Mine_")) else e.tag, sorted(e.attrib)) for e in elements]


def holds(text, kind=LIF):
    """The text travels through every export and stays where it was put."""
    there, plain = fit(text, kind), fit(kind=kind)
    for to in SCRIPTS:
        for (ending, one), other in zip(export_texts(there, to).items(), export_texts(plain, to).values(), strict=True):
            if ending == ".nestml":
                lines, wanted = code(one), code(other)
                assert [x for x in lines if x] == [x for x in wanted if x]
            else:
                compile(one, "script", "exec")
                assert bare(one) == bare(other)
                comments = [t.string for t in tokenize.generate_tokens(io.StringIO(one).readline) if t.type == 62]
                assert not any("\r" in c for c in comments)
    for one, other in zip(
        export_texts(there, "neuroml").values(), export_texts(plain, "neuroml").values(), strict=True
    ):
        assert shape(one) == shape(other)
    assert isinstance(json.loads(export_texts(there, "json")[".json"]), dict)


@pytest.mark.parametrize("text", NASTY)
def test_nasty_text_stays_text(text):
    holds(text)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.text(max_size=40))
def test_any_text_stays_text(text):
    holds(text)


@pytest.mark.parametrize("text", NASTY)
def test_texts_of_a_neuron_of_ones_own_stay_text(text):
    """Meanings of parameters and the reference of a class that came with somebody's file."""
    Mine = ALIF.pin("Mine", t_ref=2.0)
    Mine.reference = text
    name, declared = next((n, p) for n, p in Mine.parameters.items())
    Mine.parameters = {**Mine.parameters, name: replace(declared, doc=text)} if isinstance(declared, Parameter) else {}
    holds("plain", Mine)


@pytest.mark.parametrize("text", ["../../x", "a/b", "x" * 300, "CON:", "\x00", ".."])
def test_files_are_written_where_they_belong(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for to in (*SCRIPTS, "json", "neuroml"):
        for path in export(fit(text), to):
            assert path.resolve().parent == tmp_path.resolve()
            assert path.is_file()


def test_the_very_script_of_a_hostile_cell_runs_and_does_nothing_else(tmp_path):
    path = export(fit(NASTY[0]), "python", tmp_path / "cell.py")[0]
    done = subprocess.run(
        [sys.executable, "-c", "import runpy; runpy.run_path('cell.py')['simulate']([0.0] * 100)"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_run_file_names_its_cell_whatever_that_is_called(tmp_path):
    cell, run = export(fit(), "neuroml", tmp_path / 'a&b".xml')
    files = [e.attrib["file"] for e in ElementTree.parse(run).getroot().iter("Include")]
    assert cell.name in files
