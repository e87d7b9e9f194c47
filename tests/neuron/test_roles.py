"""Roles: a neuron with letters of its own is measured, fitted, reported and exported as the catalogue's twin is."""

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.errors import NeuronError
from ephysfit.fitting.stage_reports import LikelihoodReport, PassiveReport
from ephysfit.fitting.stages import CausalReadout, Likelihood, Passive, Refractory, Voltage
from ephysfit.models import ALIF, catalogue
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp
from ephysfit.neuron.roles import CONVENTIONS, Role

LETTERS = {
    "C": "c_m", "g": "g_leak", "E_L": "v_rest", "theta": "v_th", "d_theta": "step", "tau_a": "tau_th",
    "V_reset": "v_after", "t_ref": "dead", "delta": "soft",
}  # fmt: skip


class Mine(Neuron):
    """`ALIF` in the letters of another lab."""

    c_m = Parameter("pF", 5.0, 2000.0, "membrane capacitance", start=100.0, role=Role.CAPACITANCE)
    g_leak = Parameter("nS", 0.1, 200.0, "leak conductance", start=5.0, role=Role.LEAK)
    v_rest = Parameter("mV", -110.0, -20.0, "resting potential", start=-65.0, role=Role.REST)
    v_th = Parameter("mV", -80.0, 20.0, "threshold at rest", start=-45.0, role=Role.THRESHOLD)
    step = Parameter("mV", 0.0, 60.0, "rise of the threshold at a spike", start=5.0, role=Role.THRESHOLD_RISE)
    tau_th = Parameter("ms", 2.0, 3000.0, "time constant of the threshold's relaxation", start=100.0)
    v_after = Parameter("mV", -110.0, 0.0, "potential after a spike", start=-60.0, role=Role.RESET)
    dead = Parameter("ms", 0.0, 20.0, "absolute refractory period", start=2.0, smooth=False, role=Role.REFRACTORY)
    soft = Parameter("mV", 0.1, 20.0, "softness of the threshold", start=2.0, role=Role.SOFTNESS)

    v_m = State("mV", rest="v_rest", doc="membrane potential", role=Role.POTENTIAL)
    h = State("mV", doc="spike-triggered part of the threshold")

    def flow(self, x, I):
        return {"v_m": (-self.g_leak * (x.v_m - self.v_rest) + I) / self.c_m, "h": -x.h / self.tau_th}

    def margin(self, x):
        return x.v_m - self.v_th - x.h

    def jump(self, x):
        return {"v_m": self.v_after, "h": x.h + self.step}

    def hazard(self, u):
        return exp(u / self.soft)


CELL = ALIF(C=90.0, g=5.0, E_L=-66.0, theta=-47.0, d_theta=4.0, tau_a=90.0, V_reset=-60.0, t_ref=3.0, delta=1.5)
STAGES = (Passive(), Likelihood(starts=1, steps=25), Refractory(Likelihood(starts=1, steps=10)), CausalReadout(runs=16))


@pytest.fixture(scope="module")
def data():
    return ef.synthetic.recording(CELL, duration=8_000.0, repeats=0, dt=0.5, seed=3)


@pytest.fixture(scope="module")
def twins(data):
    """Fits of the neuron with its own letters, and of the catalogue's."""
    return ef.fit(data, Mine, STAGES, seed=1), ef.fit(data, ALIF, STAGES, seed=1)


def renamed(values):
    return {LETTERS.get(n, n): v for n, v in values.items()}


def test_both_have_the_same_roles():
    assert {role: LETTERS.get(n, n) for role, n in ALIF.roles.items() if role is not Role.POTENTIAL} == {
        role: n for role, n in Mine.roles.items() if role is not Role.POTENTIAL
    }
    assert (Mine.name_of(Role.POTENTIAL), Mine.hold) == ("v_m", ("v_m",))
    assert set(Mine.places()) == {"v_rest", "v_th", "v_after"}


def test_the_voltage_measures_both_alike(twins):
    mine, known = (f.report(PassiveReport).measured for f in twins)
    assert set(mine) == {"c_m", "g_leak", "v_rest", "v_th", "v_after", "dead"}
    assert mine == pytest.approx(renamed(known))


def test_both_fits_are_one(twins):
    mine, known = twins
    assert mine.neuron.values() == pytest.approx(renamed(known.neuron.values()), rel=1e-6)
    assert mine.sharpen == pytest.approx(known.sharpen)
    errors = [f.report(LikelihoodReport).standard_errors for f in twins]
    assert errors[0] == pytest.approx(renamed(errors[1]), rel=1e-3)
    assert "dead" in errors[0]


def test_intervals_name_what_they_are_of(twins, data):
    mine, known = (ef.intervals(f, data, "fisher").intervals for f in twins)
    assert mine.held == ("v_rest", "v_th") == tuple(renamed(dict.fromkeys(known.held)))
    assert [d.name for d in mine.derived][:2] == ["c_m/g_leak", "g_leak (v_th - v_rest)"]
    for one, other in zip(mine.derived, known.derived, strict=True):
        assert (one.value, one.standard_error) == pytest.approx((other.value, other.standard_error), rel=1e-3)
    assert "v_rest and v_th are held" in mine.scale


def test_page_and_exports_know_the_membrane(twins, data, tmp_path):
    mine, _ = twins
    page = ef.report(mine, data, path=tmp_path / "page.html").read_text()
    assert "model (θ above rest)" in page  # it was fitted to spikes alone
    (script,) = ef.export(mine, "python", tmp_path / "cell")
    assert "round(dead / dt)" in script.read_text()
    xml = next(p for p in ef.export(mine, "neuroml", tmp_path / "cell") if p.name == "cell.xml")
    assert 'exposure="v" value="v_m' in xml.read_text()


def test_the_period_is_kept_by_every_engine(data):
    mine = Mine(**renamed(CELL.values()))
    current = data.sweeps[0].current[:4000]
    runs = [
        ef.simulate(mine, current, dt=0.5, engine=e).spike_times[0][0] for e in ("compiled", "sequential", "blocks")
    ]
    known = ef.simulate(CELL, current, dt=0.5).spike_times[0][0]
    assert known.size > 5
    for found in runs:
        np.testing.assert_allclose(found, known, atol=1e-9)


@pytest.mark.parametrize("kind", catalogue().values(), ids=lambda k: k.__name__)
def test_letters_of_the_catalogue_have_the_roles_of_their_letters(kind):
    named = {name: role for role, name in kind.roles.items()}
    assert all(named.get(n, role) is role for n, role in CONVENTIONS.items())


def declare(**own):
    body = {"V": State("mV"), "flow": lambda s, x, I: {"V": I * 0}, "margin": lambda s, x: x.V, "jump": lambda s, x: {}}
    return type("Wrong", (Neuron,), {**body, **own})


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (
            {"c": Parameter("mV", 0.0, 1.0, role=Role.CAPACITANCE)},
            r"Wrong\.c is declared as the membrane capacitance but",
        ),
        (
            {"a": Parameter("nS", 0.1, 1.0, role=Role.LEAK), "b": Parameter("nS", 0.1, 1.0, role=Role.LEAK)},
            "two of leak",
        ),
        ({"p": Parameter("mV", 0.0, 1.0, role=Role.POTENTIAL)}, "the membrane potential is a state"),
        ({"r": Parameter("mV", 0.0, 1.0, size=2, role=Role.REST)}, "a bank of 2; it must be one value in mV"),
    ],
)
def test_a_role_that_cannot_be_is_refused(own, says):
    with pytest.raises(NeuronError, match=says):
        declare(**own)


def test_a_letter_in_another_unit_has_no_role():
    assert declare(g=Parameter("mV", 0.0, 1.0)).name_of(Role.LEAK) is None
    assert declare(t_ref=Parameter("ms", 0.0, 9.0, smooth=False)).start().refractory_ms == 4.5
    assert declare().start().refractory_ms == 0.0


def test_the_voltage_is_fitted_under_any_letter(data):
    """The likelihood's kernel compares the recorded voltage with the state that is the potential."""
    stage = Likelihood(starts=1, steps=8, voltage=Voltage())
    mine, known = (ef.fit(data, kind, (Passive(), stage), seed=1) for kind in (Mine, ALIF))
    assert mine.voltage.explained == pytest.approx(known.voltage.explained)
    assert mine.neuron.values() == pytest.approx(renamed(known.neuron.values()), rel=1e-4)
