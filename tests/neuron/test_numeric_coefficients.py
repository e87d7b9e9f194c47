"""Coefficients and slopes in numpy are those of torch, for every neuron of the catalogue."""

import numpy as np
import pytest
import torch

from ephysfit.models import catalogue
from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.declare import flatten
from ephysfit.neuron.formula import of_arrays, of_tensors
from ephysfit.neuron.free_parameters import FreeParameters, as_floats
from ephysfit.neuron.functions import array_phi1, array_sigmoid, array_softplus, phi1, sigmoid, softplus
from ephysfit.neuron.numeric_coefficients import STEP, NumericCoefficients, compute_coefficients


def drawn(kind, seed):
    """A cell somewhere within its bounds, and the coordinates of all its smooth parameters."""
    free = FreeParameters.of(kind, smooth_only=True)
    z = free.drawn(kind.start(), 0.3, np.random.default_rng(seed))
    return free, z, as_floats(free.to_neuron(z, kind.start()))


@pytest.mark.parametrize("dt", [0.05, 0.5, 4.0])
@pytest.mark.parametrize("name", list(catalogue()))
def test_values_and_slopes_are_those_of_torch(name, dt):
    kind = catalogue()[name]
    free, z, base = drawn(kind, 3)
    if not free.names:
        pytest.skip(f"{name} has no smooth parameter")
    step = NumericCoefficients(free, base, dt)
    by_torch = lambda q: coefficients(free.to_neuron(q, base), dt)[0]  # noqa: E731
    expected = by_torch(torch.from_numpy(z)).numpy()
    size = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(step.values(z), expected, rtol=1e-12, atol=1e-13 * size)
    slopes = torch.autograd.functional.jacobian(by_torch, torch.from_numpy(z)).numpy()
    each = np.abs(slopes).max(0, initial=1e-3)  # a coefficient is near blind to a parameter where others are not
    np.testing.assert_allclose(step.slopes(z) / each, slopes / each, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", list(catalogue()))
def test_coefficients_of_many_cells_are_those_of_torch(name):
    kind = catalogue()[name]
    free = FreeParameters.of(kind)
    if not free.names:
        pytest.skip(f"{name} has no free parameter")
    z = torch.from_numpy(np.stack([free.drawn(kind.start(), 0.5, np.random.default_rng(k)) for k in range(70)]))
    cells = free.to_neuron(z, kind.start())
    expected = coefficients(cells, 0.5).detach().numpy()
    size = np.abs(expected).max(0, initial=1.0)
    found = compute_coefficients(cells, 0.5)
    np.testing.assert_allclose(found / size, expected / size, rtol=1e-12, atol=1e-13)
    one = compute_coefficients(as_floats(free.to_neuron(z[3], kind.start())), 0.5)
    np.testing.assert_allclose(one[0], found[3], rtol=1e-13, atol=1e-14 * size.max())


@pytest.mark.parametrize("name", ["GIF", "ALIF", "AIGIF"])
def test_parameters_that_stay_are_those_of_the_base(name):
    kind = catalogue()[name]
    free, z, base = drawn(kind, 5)
    few = FreeParameters.of(kind, free.names[:2])
    one, all_of = NumericCoefficients(few, base, 0.5), NumericCoefficients(free, base, 0.5)
    np.testing.assert_allclose(one.values(few.to_vector(base)), all_of.values(z), rtol=1e-9)
    np.testing.assert_allclose(one.slopes(few.to_vector(base)), all_of.slopes(z)[:, :2], rtol=1e-6, atol=1e-9)


def test_numbers_of_free_parameters_are_their_values_and_slopes():
    for kind in catalogue().values():
        free, z, _ = drawn(kind, 7)
        if free.names:
            (values, slopes), tensor = free.numbers(z), torch.tensor(z, requires_grad=True)
            made = torch.stack(list(free.values(tensor).values()))
            (expected,) = torch.autograd.grad(made.sum(), tensor)
            np.testing.assert_allclose(values, made.detach(), rtol=1e-13, atol=1e-12)
            np.testing.assert_allclose(slopes, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("array", "tensor"), [(array_sigmoid, sigmoid), (array_softplus, softplus), (array_phi1, phi1)]
)
def test_functions_of_complex_numbers_have_the_slopes_of_those_of_tensors(array, tensor):
    x = np.array([-800.0, -40.0, -3.0, -1e-6, 0.0, 2e-7, 1e-4, 0.7, 5.0, 37.0, 600.0])
    at = torch.tensor(x, requires_grad=True)
    found, made = array(x + 1j * STEP), tensor(at)
    (slopes,) = torch.autograd.grad(made.sum(), at)
    np.testing.assert_allclose(found.real, made.detach(), rtol=1e-14)
    np.testing.assert_allclose(found.imag / STEP, slopes, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(array(x), made.detach(), rtol=1e-14)


def test_a_formula_may_call_all_functions_of_the_language():
    text = (
        "def _lambdifygenerated(x):\n"
        "    return [exp(x), log(x), tanh(x), sqrt(x), cos(x), sin(x), sigmoid(x), softplus(x), phi1(x)]\n"
    )
    x = 0.37
    tensor = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    expected = of_tensors(text)(tensor)
    found = of_arrays(text)(np.array([x + 1j * STEP]))
    for a, t in zip(found, expected, strict=True):
        (slope,) = torch.autograd.grad(t, tensor)
        assert a[0].real == pytest.approx(float(t.detach()), rel=1e-14)
        assert a[0].imag / STEP == pytest.approx(float(slope), rel=1e-12)


def test_a_cell_of_numbers_is_read_in_the_order_of_the_formulas():
    kind = catalogue()["AIGIF"]
    _, _, base = drawn(kind, 1)
    flat = flatten(base.parameters, base.values())
    free = FreeParameters.of(kind, ("theta",))
    step = NumericCoefficients(free, base, 0.5)
    for place in ("theta", "g_A"):
        moved = base.replace(**{place: flat[place] + 1.0})
        changed = NumericCoefficients(FreeParameters.of(kind, ("I_s",)), moved, 0.5)
        same = NumericCoefficients(FreeParameters.of(kind, ("I_s",)), base, 0.5)
        z = FreeParameters.of(kind, ("I_s",)).to_vector(base)
        assert (changed.values(z) != same.values(z)).any()
    assert step.slopes(free.to_vector(base)).shape[1] == 1


@pytest.mark.parametrize("dt", [4.0, 20.0, 80.0])
def test_steps_far_longer_than_rates_that_meet_keep_their_slopes(dt):
    """Membrane and afterspike currents of one time constant, 10 ms: a difference of their rates is no divisor."""
    kind = catalogue()["GLIF3"]
    base = kind.start().replace(C=100.0, g=10.0, k=(0.1, 0.1))
    free = FreeParameters.of(kind, smooth_only=True)
    z, step = free.to_vector(base), NumericCoefficients(free, base, dt)
    by_torch = lambda q: coefficients(free.to_neuron(q, base), dt)[0]  # noqa: E731
    np.testing.assert_allclose(step.values(z), by_torch(torch.from_numpy(z)), rtol=1e-11, atol=1e-12)
    slopes = torch.autograd.functional.jacobian(by_torch, torch.from_numpy(z)).numpy()
    each = np.abs(slopes).max(0, initial=1e-3)
    np.testing.assert_allclose(step.slopes(z) / each, slopes / each, rtol=1e-9, atol=1e-11)
