"""Gradient of noisy runs: slopes by spikes exact, credit by hand, the likelihood ratio against finite differences."""

import numpy as np
import pytest
import torch
from fitting_cells import DT, KNOWN, Plain, begun, known, problem, silent_cell, spikes_only

from ephysfit.errors import FitError
from ephysfit.fitting.free_run.losses import Coincidence, KernelScore
from ephysfit.fitting.free_run.spike_gradients import compute_spike_slopes, compute_step_credits
from ephysfit.fitting.stage import Estimate, Status
from ephysfit.fitting.stage_reports import SearchReport
from ephysfit.fitting.stages.noisy_gradient import SLOPES, NoisyGradient, _Descent
from ephysfit.models import ALIF
from ephysfit.neuron.declare import scalar_values

STEPS = 400
RUNS = [[20, 90, 300], [25, 310], [28, 95, 180, 305]]
RECORDED = np.array([22, 100, 200, 308])


def packed(runs):
    return np.cumsum([0, *map(len, runs)]), np.array([t for r in runs for t in r], np.int64)


def times(steps):
    return (np.asarray(steps) + 0.5) * DT


@pytest.mark.parametrize("loss", [KernelScore(), KernelScore((3.0, 9.0, 40.0)), Coincidence()], ids=repr)
def test_slope_by_a_spike_is_what_the_spike_does_to_the_loss(loss):
    """A kernel score is linear in each run; of a ratio, and of the cost of the rate, only the slope is asked for."""
    use = np.ones(STEPS, bool)
    field = compute_spike_slopes(loss, *packed(RUNS), RECORDED, use, DT)

    def value(weight, at):  # the loss with a spike of run 1 that counts `weight`: by its pair counts
        n, total = len(RUNS), 0.0
        counts = []
        for w in loss.windows:
            k = lambda a, b, w=w: np.maximum(1 - np.abs(times(a)[:, None] - times(b)) / (2 * w), 0).sum()  # noqa: E731
            n_dm = sum(k(RECORDED, r) for r in RUNS) / n + weight * k(RECORDED, [at]) / n
            n_mm = sum(k(a, b) for i, a in enumerate(RUNS) for j, b in enumerate(RUNS) if i != j)
            n_mm += weight * 2 * sum(k(RUNS[i], [at]) for i in (0, 2))
            counts.append((n_dm, n_mm / (n * (n - 1))))
        ratio = ((sum(map(len, RUNS)) + weight) / n + 0.5) / (len(RECORDED) + 0.5)
        for n_dm, n_mm in counts:
            if isinstance(loss, KernelScore):
                total += (n_mm - 2 * n_dm) / len(RECORDED) / len(counts)
            else:
                total += 1 - 2 * n_dm / (loss.reliability * len(RECORDED) + n_mm)
        return total + loss.rate * np.log(ratio) ** 2

    for at in (21, 150, 306):
        slope = (value(1e-5, at) - value(-1e-5, at)) / 2e-5
        assert field[1, at] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_what_does_not_count_has_no_slope_and_pulls_nothing():
    use = np.ones(STEPS, bool)
    use[170:250] = False
    field = compute_spike_slopes(KernelScore(rate=0.0), *packed(RUNS), RECORDED, use, DT)
    assert not field[:, 170:250].any()
    without = [[t for t in r if use[t]] for r in RUNS]
    same = compute_spike_slopes(KernelScore(rate=0.0), *packed(without), RECORDED[use[RECORDED]], use, DT)
    assert np.array_equal(field, same)


def test_credit_by_hand():
    """What follows within 3 steps, less what the other run has there; nothing in the two refractory steps."""
    field = np.arange(1.0, 9.0, dtype=np.float32)[None].repeat(2, 0)
    found = compute_step_credits(field, *packed([[2, 6], [4]]), 3, 2)
    own, other = np.array([3, 3, 3, 0, 7, 7, 7, 0.0]), np.array([0, 0, 5, 5, 5, 0, 0, 0.0])
    expected = np.stack([own - other, other - own])
    expected[0, [3, 4, 7]] = expected[1, [5, 6]] = 0.0
    assert found.tolist() == expected.tolist()


def test_the_likelihood_ratio_is_the_slope_of_the_expected_loss():
    """Against central differences of the loss with common draws, over many runs."""
    p = problem(spikes_only(6_000.0), ALIF)
    start = KNOWN.replace(theta=-47.0, g=5.6)
    descent = _Descent(NoisyGradient(runs=400, memory=150.0, names=("g", "E_L", "theta", "d_theta")), p, start)
    z = torch.tensor(descent.free.to_vector(start)[None], requires_grad=True)
    descent.backward(z, 0, 1.0)
    h, n = 0.01, z.shape[1]
    sides = z.detach().numpy() + h * np.concatenate([np.eye(n), -np.eye(n)])
    values = descent.evaluation.training_losses(sides, 0)
    expected, found = (values[:n] - values[n:]) / (2 * h), z.grad[0].numpy()
    assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) > 0.95
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(expected), rel=0.3)


@pytest.mark.parametrize("slope", SLOPES)
def test_it_lowers_its_loss_or_keeps_the_estimate(slope):
    p = problem(known(12_000.0), ALIF)
    start = KNOWN.replace(theta=-45.5, g=5.5)
    after = NoisyGradient(slope=slope, steps=16, runs=4, judged=16)(p, Estimate(start))
    (before, found), (held, held_found) = after.reports.of(SearchReport).train, after.reports.of(SearchReport).held_out
    moved = scalar_values(after.neuron) != scalar_values(start)
    assert moved == (found < before and before - found + held - held_found > 0)
    assert moved or slope != "likelihood ratio"
    assert all(np.isfinite(v) for v in scalar_values(after.neuron).values())


def test_starts_are_rows_of_one_batch_and_long_sweeps_are_seen_in_parts():
    p = problem(known(12_000.0), ALIF)
    stage = NoisyGradient(steps=3, starts=2, runs=4, judged=8, longest=4_000.0)
    one, two = stage(p, begun(p)), stage(p, begun(p))
    assert scalar_values(one.neuron) == scalar_values(two.neuron)
    descent = _Descent(stage, p, KNOWN)
    assert {descent._cut_part(0, n).stop - descent._cut_part(0, n).start for n in range(5)} == {8000}
    assert len({descent._cut_part(0, n).start for n in range(5)}) > 1


def test_a_gradient_that_is_not_finite_ends_the_stage_and_not_the_fit(monkeypatch):
    p = problem(known(12_000.0), ALIF)
    whole = _Descent.backward

    def poisoned(self, z, draw, wide):
        if draw == 1:
            z.register_hook(lambda g: g * torch.nan)
        whole(self, z, draw, wide)

    monkeypatch.setattr(_Descent, "backward", poisoned)
    after = NoisyGradient(steps=5, runs=4, judged=8)(p, Estimate(KNOWN))
    assert len(after.reports.of(SearchReport).curves[0]) == 1
    assert scalar_values(after.neuron) == scalar_values(KNOWN)


def test_what_it_has_no_work_for_is_a_value():
    assert NoisyGradient()(problem(kind=Plain), Estimate(Plain.start())).status is Status.NOT_NEEDED
    p = problem(silent_cell(), ALIF)
    assert NoisyGradient()(p, Estimate(KNOWN)).status is Status.TOO_FEW_SPIKES
    with pytest.raises(FitError, match="slope 'survivor' is unknown; did you mean survival"):
        NoisyGradient(slope="survivor")
