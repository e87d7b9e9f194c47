"""One served page for the tests of a module."""

import pytest
from explorer_cells import recording, run_folder, write_csv

import ephysfit as ef


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with two fits and their recording."""
    root = tmp_path_factory.mktemp("explored")
    write_csv(run_folder(root / "run") / "known.csv", recording())
    return root / "run"


@pytest.fixture(scope="module")
def served(folder):
    pytest.importorskip("panel")
    page = ef.explore(folder)
    yield page
    page.stop()
