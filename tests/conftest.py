"""What all tests share: memory that collections of garbage pass by, and checks of the axes of arrays on request."""

import gc
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import shape_checks

shape_checks.begin()


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
