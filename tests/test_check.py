"""check_neuron: what keeps the contract passes, and each way to break it is named."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from ephysfit.check import check_neuron
from ephysfit.errors import NeuronError
from ephysfit.models import ALIF, LIF, AdLIF, BlockALIF
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp, softplus
from ephysfit.neuron.roles import Role


@pytest.mark.slow
@pytest.mark.parametrize("neuron", [LIF, ALIF, AdLIF, BlockALIF])
def test_the_first_catalogue_keeps_the_contract(neuron) -> None:
    report = check_neuron(neuron)
    assert report.passed
    assert str(report).startswith(f"{neuron.__name__} keeps")


class Sound(Neuron):
    C = Parameter("pF", 5.0, 2000.0, "capacitance", start=100.0)
    g = Parameter("nS", 0.1, 200.0, "leak", start=6.0)
    theta = Parameter("mV", 1.0, 80.0, "threshold above rest", start=12.0)
    t_ref = Parameter("ms", 0.0, 20.0, "refractory period", start=1.0, smooth=False)
    V = State("mV", doc="potential above rest")

    def flow(self, x, I):
        return {"V": (-self.g * x.V + I) / self.C}

    def margin(self, x):
        return x.V - self.theta

    def jump(self, x):
        return {"V": 0.0}


def broken(**methods: object) -> type[Neuron]:
    """`Sound` with something else in it."""
    own = {k: v for k, v in vars(Sound).items() if isinstance(v, Parameter | State) or k in ("flow", "margin", "jump")}
    return type("Broken", (Neuron,), {**own, **methods, "__module__": __name__})


def said(neuron: type[Neuron], *only: str) -> dict[str, str]:
    """What the failing parts say; parts that compile kernels only where they are the point."""
    report = check_neuron(neuron, raises=False, only=only or ("units", "states", "symbols", "rest", "copies", "hazard"))
    return {f.name: f.detail for f in report.failures}


def test_a_wrong_unit_is_named() -> None:
    wrong = broken(flow=lambda self, x, I: {"V": (-self.g * x.V - self.theta + I) / self.C})
    assert "pA - mV" in said(wrong)["units"]
    with pytest.raises(NeuronError, match=r"Broken breaks the contract(.|\n)*FAILED units"):
        check_neuron(wrong)


def test_an_undeclared_state_is_named_with_the_near_one() -> None:
    assert "did you mean V?" in said(broken(jump=lambda self, x: {"v": 0.0}))["states"]


def test_an_if_on_a_state_is_named() -> None:
    branching = broken(flow=lambda self, x, I: {"V": (-self.g * max(x.V, 0.0 * self.theta) + I) / self.C})
    assert "write it as arithmetic" in " ".join(said(branching).values())


def test_a_parameter_that_does_nothing_is_named_with_the_way_to_a_refractory_period() -> None:
    dead = Parameter("ms", 0.0, 10.0, "refractory period in a letter of one's own", start=2.0, smooth=False)
    found = said(broken(dead=dead), "parameters")["parameters"]
    assert "dead: read by no equation" in found
    assert "role=Role.REFRACTORY" in found
    assert not said(broken(t_ref=None, dead=replace(dead, role=Role.REFRACTORY)), "parameters")
    assert not said(broken(), "parameters")


def test_what_a_pin_switches_off_is_no_failure() -> None:
    part = check_neuron(ALIF.pin("Plain", d_theta=0.0), only=["parameters"])
    assert part.passed
    assert "tau_a: read by no equation" in part.findings[0].detail


def test_a_function_of_numbers_only_is_named() -> None:
    foreign = broken(flow=lambda self, x, I: {"V": (-self.g * x.V * np.exp(x.V / self.theta) + I) / self.C})
    assert said(foreign)


def test_a_spike_at_rest_is_named() -> None:
    assert "below 0" in said(broken(margin=lambda self, x: x.V + self.theta))["rest"]


def test_a_rest_that_moves_is_named_unless_the_neuron_says_why() -> None:
    moving = lambda self, x, I: {"V": (-self.g * (x.V - 0.5 * self.theta) + I) / self.C}  # noqa: E731
    assert "rest is not a fixed point" in said(broken(flow=moving))["rest"]
    assert "rest" not in said(broken(flow=moving, drifts="it is driven by a steady current"))


def test_a_hazard_that_falls_is_named() -> None:
    assert "hazard" in said(broken(hazard=lambda self, u: exp(-u / self.theta)))


def test_a_neuron_that_cannot_spike_is_named() -> None:
    assert (
        "does not spike at any level"
        in said(broken(margin=lambda self, x: 0.0 * x.V - self.theta), "engines")["engines"]
    )


def test_a_step_that_is_not_the_flow_is_named(monkeypatch) -> None:
    """The exact step is tampered with: the reading in plain floats, which knows no matrices, must object."""
    import ephysfit.neuron.affine as affine

    honest = affine._exact
    monkeypatch.setattr(affine, "_exact", lambda flow, dt: honest(flow, 1.01 * dt))
    assert "away from integrating the flow" in said(broken(), "step")["step"]


def test_engines_that_differ_are_named(monkeypatch) -> None:
    from ephysfit import check

    honest = check.blocks
    monkeypatch.setattr(check, "blocks", lambda cell, *a, **k: honest(cell.replace(theta=cell.theta + 0.05), *a, **k))
    assert (
        "engine 'blocks' differs from 'sequential' at dt = 0.1 ms first in trial"
        in said(broken(), "engines")["engines"]
    )


def test_engines_are_compared_at_a_step_at_which_unstable_states_grow(monkeypatch) -> None:
    from ephysfit import check

    steps = []
    honest = check.blocks
    monkeypatch.setattr(check, "blocks", lambda cell, current, dt: steps.append(dt) or honest(cell, current, dt))
    assert not said(broken(), "engines")
    assert steps == [check.DT, check.COARSE]


@pytest.mark.slow
def test_a_neuron_that_is_not_affine_keeps_the_contract_too() -> None:
    smooth = broken(flow=lambda self, x, I: {"V": (-self.g * self.theta * softplus(x.V / self.theta) + I) / self.C})
    assert set(said(smooth)) == {"rest"}
    sharp = broken(
        flow=lambda self, x, I: {"V": (-self.g * x.V + self.g * 2e-3 * self.theta * exp(x.V / self.theta) + I) / self.C}
    )
    assert check_neuron(sharp).passed


def test_a_part_that_does_not_exist_is_refused() -> None:
    with pytest.raises(NeuronError, match="did you mean units"):
        check_neuron(Sound, only=["unit"])


def test_what_is_no_neuron_is_refused() -> None:
    for thing in (3, Neuron, "LIF"):
        with pytest.raises(NeuronError, match="takes a class"):
            check_neuron(thing)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_user_calls_it_by_the_public_name(tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        textwrap.dedent(
            """
            import ephysfit as ef
            from ephysfit.models import LIF
            print(ef.check_neuron(LIF))
            """
        )
    )
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True)
    assert "LIF keeps the contract" in done.stdout
