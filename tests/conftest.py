"""What all tests share: one thread for libraries, collections of garbage that pass by what stays, checks of axes."""

import gc
import os
import sys
from pathlib import Path

import pytest

from ephysfit.cli.app import LIBRARY_THREADS

sys.path.insert(0, str(Path(__file__).parent))

import shape_checks

shape_checks.begin()
# as the command does. Workers of pytest-xdist begin after this; side by side, threads of libraries that wait for each
# other triple the CPU time of a test that regresses
for variable in LIBRARY_THREADS:
    os.environ.setdefault(variable, "1")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """No garbage is collected while modules and thousands of tests come, of which all stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish():
    """Collections of garbage pass by what is there before the first test: 0.4 s each, in which nothing was found."""
    gc.freeze()
