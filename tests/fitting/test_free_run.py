"""Stages that let the model run: losses by hand, no look at validation blocks, nothing kept that validates worse."""

from dataclasses import replace
from math import exp, log, sqrt

import numpy as np
import pytest
import torch
from fitting_cells import KNOWN, Plain, altered, begun, known, problem, spikes_only, steps

import ephysfit as ef
from ephysfit.data.recording import Recording
from ephysfit.errors import FitError, SimulationError
from ephysfit.fitting.free_run.evaluation import SILENT, FreeRunEvaluation
from ephysfit.fitting.free_run.losses import Coincidence, Gamma, KernelScore, VanRossum, select_spikes_in
from ephysfit.fitting.stage import Estimate, Problem, Status
from ephysfit.fitting.stage_reports import CausalRun, SearchReport
from ephysfit.fitting.stages import search as searching
from ephysfit.fitting.stages.causal_readout import CausalReadout, cut_stretches
from ephysfit.fitting.stages.gradient import Gradient, _Descent
from ephysfit.fitting.stages.search import Search, make_threshold_loss
from ephysfit.metrics.coincidence import mean_weight, self_weight
from ephysfit.models import ALIF, LIF
from ephysfit.neuron.declare import scalar_values
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.synthetic import noise_current, respond

RATES = (0.15, 0.3, 0.45, 0.6)
LOSSES = pytest.mark.parametrize(
    "loss", [Coincidence(), Gamma(), KernelScore(), VanRossum()], ids=lambda x: type(x).__name__
)
FEW = Search(evaluations=64, population=8, runs=2)


def test_coincidence_loss_by_hand():
    """n_dm = 1, n_mm = 1, n_dd set to 0.75 x 2: 1 - 2 / 2.5; equal counts cost nothing."""
    loss, recorded = Coincidence(), np.array([10.0, 50.0])
    runs = [np.array([12.0, 80.0]), np.array([51.0, 81.0])]
    assert loss(recorded, runs, 100.0) == pytest.approx(0.2)
    narrow = replace(loss, window=0.5)  # nothing coincides any more
    assert narrow(recorded, runs, 100.0) == pytest.approx(1.0)


def test_a_wrong_rate_costs_its_squared_logarithm():
    loss, recorded = Coincidence(rate=0.5), np.array([10.0])
    once, twice = (loss(recorded, [np.array(t)], 100.0) for t in ([10.0], [10.0, 60.0]))
    assert once == pytest.approx(1 - 2 / 1.75)
    assert twice == pytest.approx(1 - 2 / 2.75 + 0.5 * log(2.5 / 1.5) ** 2)


def test_coincidence_of_silence_with_silence_is_defined():
    assert Coincidence()(np.empty(0), [np.empty(0)], 100.0) == pytest.approx(1.0)


def test_van_rossum_loss_by_hand():
    """Two lone spikes d apart: D^2 = 1 - exp(-d / tau), and 1/2 to silence."""
    loss, recorded = VanRossum(10.0), np.array([100.0])
    assert loss(recorded, [np.empty(0)], 1000.0) == pytest.approx(1.0)
    assert loss(recorded, [recorded], 1000.0) == pytest.approx(0.0, abs=1e-6)
    assert loss(recorded, [np.array([105.0])], 1000.0) == pytest.approx(sqrt(2 * (1 - exp(-0.5))), rel=1e-6)


def test_gamma_loss_is_that_of_the_metric_and_silence_is_worst():
    """Kistler: (n - 2 f w N_data) / (0.5 (N_data + N_model)) / (1 - 2 f w), f the model's rate."""
    recorded, run, duration = np.array([10.0, 50.0]), np.array([12.0, 80.0]), 1000.0
    chance = 2 * (2 / duration) * 4.0
    expected = (1 - chance * 2) / (0.5 * 4) / (1 - chance)
    assert Gamma(4.0)(recorded, [run], duration) == pytest.approx(1 - expected, rel=1e-6)
    assert Gamma()(recorded, [recorded], duration) == pytest.approx(0.0, abs=1e-9)
    assert Gamma()(recorded, [np.empty(0)], duration) >= 1.0


def test_kernel_score_by_hand():
    """Window 4: triangles of half base 8. n_dm = (6/8 + 7/8) / 2, n_mm = 7/8 of the pair (12, 13) and nothing else."""
    loss, recorded = KernelScore((4.0,), rate=0.0), np.array([10.0])
    runs = [np.array([12.0, 80.0]), np.array([11.0])]
    n_dm, n_mm = (6 / 8 + 7 / 8) / 2, 7 / 8
    assert loss(recorded, runs, 100.0) == pytest.approx(1 + n_mm - 2 * n_dm)
    assert loss(recorded, [np.empty(0)], 100.0) == pytest.approx(1.0)
    assert loss(recorded, [recorded], 100.0) == pytest.approx(0.0)
    dearer = replace(loss, rate=2.0)(recorded, [np.array([12.0, 80.0])] * 2, 100.0)
    assert dearer == pytest.approx(loss(recorded, [np.array([12.0, 80.0])] * 2, 100.0) + 2 * log(2.5 / 1.5) ** 2)


def test_kernel_score_is_proper_where_md_is_not():
    """A cell of independent spikes of known places is predicted best, in the mean, by its own rate and by no other."""
    rng, places = np.random.default_rng(0), 100.0 * np.arange(1, 200)
    drawn = lambda chance: places[rng.random(len(places)) < chance]  # noqa: E731
    score, md = (
        {c: np.mean([loss(drawn(0.3), [drawn(c) for _ in range(8)], 2e4) for _ in range(60)]) for c in RATES}
        for loss in (KernelScore((4.0,), rate=0.0), Coincidence(rate=0.0))
    )
    assert min(score, key=score.get) == 0.3
    assert min(md, key=md.get) > 0.3  # n_dd was set to .75 where it is .3: spikes in excess are rewarded


def test_within_keeps_the_spikes_of_masked_steps():
    mask = np.array([True, False, True, False])
    assert select_spikes_in(np.array([0.1, 0.6, 1.2, 1.9]), mask, 0.5).tolist() == [0.1, 1.2]
    assert select_spikes_in(np.array([2.0]), mask, 0.5).tolist() == []  # the end of the record belongs to its last step


@LOSSES
def test_losses_of_a_batch_are_those_of_its_rows_to_the_bit(loss):
    """What is packed, masked, compared and averaged at once, against one train at a time."""
    alike = [respond(KNOWN, noise_current(1500.0, 0.5, 130.0, 90.0, seed=k), 0.5, seed=k) for k in range(3)]
    p = problem(Recording((*steps(2).sweeps, *alike)), ALIF)
    z = np.stack([FreeParameters.of(ALIF).to_vector(c) for c in (KNOWN, KNOWN.replace(theta=-50.0))])
    evaluation = FreeRunEvaluation(p, FreeParameters.of(ALIF), KNOWN, loss, 3)
    totals, weights = np.zeros(2), 0.0
    for k, trains in evaluation.free_runs.simulate_sweeps(evaluation.candidates(z), 7):
        mask = evaluation.training_masks[k]
        recorded = select_spikes_in(p.recording.sweeps[k].spike_times, mask, p.dt)
        weights += len(recorded) + SILENT
        for c, runs in enumerate(trains):
            kept = [select_spikes_in(t, mask, p.dt) for t in runs]
            totals[c] += (len(recorded) + SILENT) * loss(recorded, kept, float(mask.sum()) * p.dt)
    assert evaluation.training_losses(z, 7).tolist() == (totals / weights).tolist()
    assert totals[0] != totals[1]
    assert max(len(found.sweeps) for found in evaluation.free_runs.simulate_batches(KNOWN)) == len(alike)


def test_pair_losses_are_their_formulas_to_the_bit():
    rng = np.random.default_rng(0)
    for n in (1, 4):
        recorded, *runs = (np.sort(rng.uniform(0, 500, size)) for size in rng.integers(0, 40, n + 1))
        wrong = log((sum(map(len, runs)) / n + 0.5) / (len(recorded) + 0.5)) ** 2
        n_dm, n_mm = float(mean_weight([recorded], runs, 4.0)[0]), self_weight(runs, 4.0)
        by_ratio = 1.0 - 2.0 * n_dm / (0.75 * len(recorded) + n_mm) + 0.6 * wrong
        assert Coincidence()(recorded, runs, 500.0) == by_ratio
        pairs = [self_weight(runs, w, "rectangular") - 2.0 * mean_weight([recorded], runs, w, "rectangular")[0]
                 for w in (4.0, 16.0)]  # fmt: skip
        assert KernelScore()(recorded, runs, 500.0) == 1.0 + sum(pairs) / 2 / len(recorded) + 0.3 * wrong


@LOSSES
def test_search_never_trains_on_validation_blocks(loss):
    p = problem()
    q = problem(altered(spikes_only(), p.held_out[0]))
    start = begun(p).neuron
    free = FreeParameters.of(LIF)
    z = free.to_vector(start)[None]
    (train, held), (train_q, held_q) = (
        FreeRunEvaluation(x, free, start, loss, 3).training_and_validation_losses(z) for x in (p, q)
    )
    assert train == train_q
    assert FreeRunEvaluation(p, free, start, loss, 3).training_losses(z, 4) == FreeRunEvaluation(
        q, free, start, loss, 3
    ).training_losses(z, 4)
    assert held != held_q


def test_search_lowers_its_loss_and_moves_only_if_that_validates():
    p = problem()
    before = begun(p)
    after = replace(FEW, evaluations=160)(p, before)
    (train, found), (held, held_found) = after.reports.of(SearchReport).train, after.reports.of(SearchReport).held_out
    assert found < train
    assert (repr(after.neuron) != repr(before.neuron)) == (train - found + held - held_found > 0)
    assert 20 <= len(after.reports.of(SearchReport).curves[0]) <= 21  # generations of 8 candidates


def test_search_keeps_the_estimate_that_validates_better(monkeypatch):
    p, worse = problem(), {"train": np.array([0.8, 0.5]), "held": np.array([0.6, 0.7])}
    before = begun(p)
    monkeypatch.setattr(searching, "evolve_by_cma", lambda losses, start, *rest: (start + 0.5, [0.5]))
    monkeypatch.setattr(
        FreeRunEvaluation, "training_and_validation_losses", lambda self, z: (worse["train"], worse["held"])
    )
    worse["held"][1] = 0.95  # loses there more than it gains on the training blocks
    after = FEW(p, before)
    assert after.neuron is before.neuron
    assert after.reports.of(SearchReport).kept == "the estimate before"
    worse["held"][1] = 0.85
    assert repr(FEW(p, before).neuron) != repr(before.neuron)


def test_search_is_repeatable_and_moves_named_parameters_alone():
    p = problem(spikes_only(6_000.0))
    stage = replace(FEW, names=("theta", "t_ref"))
    one, two = stage(p, begun(p)), stage(p, begun(p))
    assert scalar_values(one.neuron) == scalar_values(two.neuron)
    before = scalar_values(begun(p).neuron)
    moved = {n for n, v in scalar_values(one.neuron).items() if v != pytest.approx(before[n], rel=1e-9)}
    assert moved <= {"theta", "t_ref"}


def test_candidates_of_a_generation_share_their_noise_and_the_next_has_its_own():
    p = problem(spikes_only(6_000.0))
    start = begun(p).neuron
    free = FreeParameters.of(LIF)
    z = np.stack([free.to_vector(start)] * 2)
    evaluation = FreeRunEvaluation(p, free, start, KernelScore(), 3)
    one, two, judged = (
        evaluation.training_losses(z, 0),
        evaluation.training_losses(z, 1),
        evaluation.training_and_validation_losses(z)[0],
    )
    assert one[0] == one[1] != two[0]
    assert judged[0] not in (one[0], two[0])


def test_search_is_not_stopped_by_candidates_that_are_all_silent():
    p = problem(spikes_only(6_000.0))
    after = replace(FEW, evaluations=80, sigma=60.0)(p, begun(p))
    assert len(after.reports.of(SearchReport).curves[0]) >= 10
    assert all(np.isfinite(v) for v in scalar_values(after.neuron).values())


def test_search_fits_a_neuron_without_hazard():
    p = problem(kind=Plain)
    after = replace(FEW, evaluations=160)(p, begun(p))
    assert after.reports.of(SearchReport).train[1] < after.reports.of(SearchReport).train[0]


def test_search_without_cma_still_improves(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "cma", None)
    p = problem(spikes_only(6_000.0))
    after = FEW(p, begun(p))
    assert after.reports.of(SearchReport).train[1] <= after.reports.of(SearchReport).train[0]


def test_gradient_trains_on_what_comes_before_its_validation_part():
    p = problem()
    late = np.zeros(len(p.counted[0]), bool)
    late[round(len(late) * (1 - p.validation)) :] = True
    q = problem(altered(spikes_only(), late))
    start = begun(p).neuron
    one, two = (_Descent(Gradient(starts=1, width=8.0), x, start) for x in (p, q))
    z = torch.from_numpy(one.free.to_vector(start)[None])
    assert one.compute_loss(z, 0.5).tolist() == two.compute_loss(z, 0.5).tolist()
    assert one.validate(z) != two.validate(z)


@pytest.mark.parametrize("detach", [False, True], ids=["in the graph", "detached"])
def test_gradient_lowers_its_loss(detach):
    p = problem(known(12_000.0, noise="none"), ALIF)
    start = KNOWN.replace(theta=-45.5, g=5.5)
    stage = Gradient(steps=30, starts=1, rate=0.02, taus=(20.0, 20.0), detach=detach, check=5)
    after = stage(p, Estimate(start))
    assert min(after.reports.of(SearchReport).curves[0]) < 0.8 * after.reports.of(SearchReport).curves[0][0]
    assert min(after.reports.of(SearchReport).held_out) < after.reports.of(SearchReport).held_out[0]
    assert all(np.isfinite(v) for v in scalar_values(after.neuron).values())


def test_gradient_by_blocks_is_the_gradient_of_the_kernels():
    """Block-ALIF's own recipe in one stage: the block-parallel algorithm with the reset out of the graph."""
    recording, found = known(2_000.0, noise="none"), []
    for engine in ("compiled", "blocks"):
        stage = Gradient(steps=3, starts=2, detach=True, engine=engine, check=1)
        fitted = ef.fit(recording, "BlockALIF", stages=(stage,), dt=0.5)
        report = fitted.history[-1].reports.of(SearchReport)
        found.append((scalar_values(fitted.neuron), report.curves[0], report.held_out))
    assert len(set(found[0][1])) == 3
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-6)
    assert found[1][1] == pytest.approx(found[0][1], rel=1e-6)
    assert found[1][2] == pytest.approx(found[0][2], rel=1e-6)


def test_gradient_by_blocks_says_what_it_needs():
    p = problem(known(2_000.0, noise="none"), ALIF)
    for stage, said in ((Gradient(engine="blocks"), "detach=True"), (Gradient(engine="block"), "did you mean blocks")):
        with pytest.raises(SimulationError, match=said):
            stage(p, Estimate(KNOWN))


def test_gradient_keeps_the_estimate_that_validates_better():
    p = problem(known(12_000.0, noise="none"), ALIF)
    after = Gradient(steps=4, starts=2, rate=0.5, spread=0.5, check=2)(p, Estimate(KNOWN))  # the truth itself
    assert after.neuron is not None
    assert scalar_values(after.neuron) == scalar_values(KNOWN)
    assert after.reports.of(SearchReport).kept == "the estimate before"
    assert after.status is Status.CONVERGED


def test_padding_of_short_sweeps_costs_nothing():
    """Spikes that a model fires in the padding behind a short sweep must not count against it."""
    short, long = (steps(2).sweeps[k] for k in (0, 1))
    q = problem(Recording((short, long)), ALIF)
    alone = [problem(Recording((s,)), ALIF) for s in (short, long)]
    start = KNOWN.replace(E_L=-40.0, V_reset=-62.0)  # fires without input
    z = torch.from_numpy(FreeParameters.of(ALIF, smooth_only=True).to_vector(start)[None])
    both = _Descent(Gradient(starts=1, width=8.0), q, start)
    each = [_Descent(Gradient(starts=1, width=8.0), x, start) for x in alone]
    spikes = [sum(len(e[0][0]) for _, e, _ in d.parts) for d in each]
    expected = sum(float(d.compute_loss(z, 0.5)) * n for d, n in zip(each, spikes, strict=True)) / sum(spikes)
    assert float(both.compute_loss(z, 0.5)) == pytest.approx(expected, rel=1e-9)


def test_readout_agrees_better_than_the_plain_causal_run():
    p = problem(kind=ALIF)
    stage = CausalReadout(runs=8, betas=(1.0, 2.0, 4.0), offsets=(-2.0, 3.0, 6))
    after = stage(p, Estimate(KNOWN))
    stretches = cut_stretches(p, stage.longest)
    aims = [stage._simulate_aim(p, KNOWN, 0, stretches[0])]
    plain, chosen = stage._compute_agreements(
        p, KNOWN, [(1.0, 0.0), after.reports.of(CausalRun).sharpen], stretches, aims
    )
    assert after.reports.of(CausalRun).agreement >= plain
    assert after.reports.of(CausalRun).agreement == pytest.approx(chosen)
    assert after.neuron is KNOWN


def test_readout_of_a_silent_model_is_no_crash():
    p = problem(kind=ALIF)
    silent = KNOWN.replace(theta=15.0)
    after = CausalReadout(runs=4, betas=(1.0,), offsets=(-1.0, 1.0, 2))(p, Estimate(silent))
    assert np.isfinite(after.reports.of(CausalRun).sharpen).all()


def test_gradient_of_the_loss_is_finite_where_nothing_spikes():
    p = problem(kind=ALIF)
    descent = _Descent(Gradient(starts=1), p, KNOWN.replace(theta=15.0))
    z = torch.tensor(descent.free.to_vector(KNOWN.replace(theta=15.0))[None], requires_grad=True)
    descent.compute_loss(z, 0.0).sum().backward()
    assert torch.isfinite(z.grad).all()


def test_a_bare_function_is_no_loss():
    cell = LIF.start()
    data = Recording.of(np.zeros(2000), 0.5, spike_times=np.arange(20.0, 900.0, 40.0))
    with pytest.raises(FitError, match=r"is no loss .* give Coincidence\(\)"):
        FreeRunEvaluation(Problem(data, LIF, 0.5), FreeParameters.of(LIF), cell, len, 4)


@pytest.mark.parametrize(("every", "window"), [(100.0, 4.0), (24.0, 4.0), (12.0, 2.0), (3.0, 1.0)])
def test_threshold_runs_of_fast_cells_are_judged_in_narrow_windows(every, window):
    data = Recording.of(np.zeros(2000), 0.5, spike_times=np.arange(every, 990.0, every))
    loss = make_threshold_loss(Problem(data, LIF, 0.5))
    assert loss.window == pytest.approx(window)
    assert loss.rate * loss.window == pytest.approx(Coincidence().rate * Coincidence().window)


def test_threshold_runs_of_a_silent_cell_are_judged_as_usual():
    assert make_threshold_loss(Problem(Recording.of(np.zeros(2000), 0.5, spike_times=[]), LIF, 0.5)) == Coincidence()
