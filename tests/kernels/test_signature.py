"""One table says how kernels are called: text, types, scratch memory and order of arguments agree."""

from __future__ import annotations

import ast

import pytest
from numba import typeof

from ephysfit.kernels import generate, signature
from ephysfit.kernels.compile_worker import types_of
from ephysfit.kernels.variant import Variant
from ephysfit.models.lif import LIF

SIZES = {
    "segment": 8, "inputs": 1, "states": 1, "coefs": 5, "lanes": 4,
    "work": 24, "gathered": 16, "columns": 8, "ahead": 64,
}  # fmt: skip


@pytest.mark.parametrize("kernel", signature.KERNELS)
def test_text_and_types_name_the_same_arguments(kernel):
    tree = ast.parse(generate.source(LIF, kernel, Variant(spikes="forced", trace=kernel == "tangent", moving=(0,))))
    (definition,) = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    names = [a.arg for a in definition.args.args]
    assert names == [a.name for a in signature.KERNELS[kernel]]
    assert len(types_of(signature.types(kernel, "float32", "float64"))) == len(names)


@pytest.mark.parametrize("kernel", signature.KERNELS)
@pytest.mark.parametrize("element", ["float32", "float64"])
def test_scratch_memory_has_the_types_of_the_last_arguments(kernel, element):
    memory = signature.scratch(kernel, element, **SIZES)
    types = types_of(signature.types(kernel, element, "float64"))
    assert tuple(typeof(m) for m in memory) == types[len(types) - len(memory) :]
    assert all(m.ctypes.data % 64 == 0 and not m.any() for m in memory)


def test_a_call_is_by_name():
    wanted = [a.name for a in signature.KERNELS["likelihood"][2:] if not a.scratch]
    given = {name: k for k, name in enumerate(wanted)}
    assert signature.arrange_arguments("likelihood", **dict(reversed(given.items()))) == tuple(range(len(wanted)))
    with pytest.raises(TypeError, match=r"'likelihood'.*missing or unknown here: \['rates', 'rats'\]"):
        signature.arrange_arguments("likelihood", **{n: v for n, v in given.items() if n != "rates"}, rats=0)
