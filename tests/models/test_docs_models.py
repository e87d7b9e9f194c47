"""The pages made from the declarations are those of today, and the template is a neuron."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from ephysfit.check import check_neuron
from ephysfit.models import catalogue, find, template_text

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def make_models():
    spec = importlib.util.spec_from_file_location("make_models", DOCS / "make_models.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_those_of_the_declarations(make_models):
    made = make_models.pages()
    stored = {p.name: p.read_text(encoding="utf-8") for p in (DOCS / "models").glob("*.md")}
    assert stored.keys() == made.keys()
    changed = [name for name in made if made[name] != stored[name]]
    assert not changed, f"run python docs/make_models.py: {changed} are older than the declarations"


def test_every_neuron_has_a_section_with_its_parameters(make_models):
    text = "\n".join(make_models.pages().values())
    for name, neuron in catalogue().items():
        assert f"\n## {name}\n" in text
        for p in neuron.parameters.values():
            assert p.doc in text
    assert ":math:" not in text
    assert ".. math" not in text


def test_the_template_is_a_neuron_that_keeps_the_contract(tmp_path):
    file = tmp_path / "my_neuron.py"
    file.write_text(template_text())
    mine = find(f"{file}:Mine")
    check_neuron(
        mine, only=("units", "states", "symbols", "parameters", "rest", "copies", "free vector", "hazard", "step")
    )
