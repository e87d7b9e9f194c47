"""The compiled engine against the sequential definition: spikes, traces, noise, replay, layouts, precision, memory."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from compiled_cases import DT, Exponential, cells, noise
from numpy.testing import assert_allclose, assert_array_equal

from ephysfit.errors import SimulationError
from ephysfit.kernels.tiles import Lists, arrange
from ephysfit.models.adlif import AdLIF
from ephysfit.models.alif import ALIF
from ephysfit.models.lif import LIF
from ephysfit.neuron.declare import cellwise
from ephysfit.simulation.engines import compiled
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.simulate import simulate
from ephysfit.simulation.surrogate import Surrogate

NEURONS = [LIF, ALIF, AdLIF, Exponential]


def definition(cell, current, trials=None, **options):
    count = max(cellwise(cell), current.shape[0])
    full = np.broadcast_to(current, (count, trials or current.shape[1], current.shape[2]))
    with torch.no_grad():
        return sequential(cell, torch.tensor(full), DT, **options)


@pytest.mark.parametrize("neuron", NEURONS)
def test_equals_the_definition_on_every_layout(neuron):
    cell = cells(neuron, 19)
    for current in (noise((19, 2, 700)), noise((1, 1, 700), 2)):
        out = compiled.run(cell, current, DT, save=["V", "margin"])
        spikes, states, margins = definition(cell, current)
        assert spikes.sum() > 20
        assert_array_equal(out.raster(), spikes.numpy())
        assert_allclose(out.traces["V"], states[..., 0], atol=1e-9)
        assert_allclose(out.traces["margin"], margins, atol=1e-9)
        assert_allclose(out.final, states[:, :, -1], atol=1e-9)


@pytest.mark.parametrize("t_ref", [0.0, 0.1, 0.5, 5.0])
def test_one_row_equals_the_definition(t_ref):
    for neuron in (ALIF, AdLIF):
        cell = cells(neuron, 1, t_ref=t_ref)
        current = noise((1, 1, 3001), 3)
        current[..., 0] = 1e5  # a spike in the first sample
        current[..., -1] = 1e5  # and, unless refractory, in the last
        spikes, states, _ = definition(cell, current)
        out = compiled.run(cell, current, DT)
        assert spikes[0, 0, 0] == 1
        assert_array_equal(out.raster(), spikes.numpy())
        assert_allclose(out.final[0, 0], states[0, 0, -1], atol=1e-9)


def test_a_long_row_saves_its_states_once(monkeypatch):
    cell, current = cells(LIF, 1, t_ref=2.0), noise((1, 1, 500), 3)
    tile = compiled.run(cell, current, DT, save=["V"])
    monkeypatch.setattr(compiled, "LONG", 100)
    alone = compiled.run(cell, current, DT, save=["V"])
    assert alone.traces["V"].base is None or alone.traces["V"].base.nbytes <= 8 * 500
    assert_allclose(alone.traces["V"], tile.traces["V"], rtol=1e-12)
    assert_array_equal(alone.at, tile.at)


def test_silent_input_gives_no_spike():
    out = compiled.run(LIF.start(), np.zeros((1, 1, 500)), DT)
    assert out.counts.sum() == 0
    assert out.events[0].size == 0


@pytest.mark.parametrize("neuron", [ALIF, Exponential])
def test_noisy_runs_read_one_current(neuron):
    cell = cells(neuron, 2)
    current = noise((1, 1, 900), 4)
    thresholds = np.random.default_rng(5).exponential(size=(2, 17, 60))
    spikes, _, _ = definition(cell, current, trials=17, thresholds=torch.tensor(thresholds))
    out = compiled.run(cell, current, DT, thresholds=thresholds)
    assert spikes.sum() > 100
    assert_array_equal(out.raster(), spikes.numpy())


def test_settings_of_the_readout_run_together_as_they_run_alone():
    cell, current = LIF.start().replace(delta=3.0, t_ref=2.0), noise((1, 1, 4000), 5)[0, 0] + 100.0
    settings = [(1.0, 0.0), (2.0, -1.0), (3.0, 0.5), (1.5, 1.0), (5.0, -2.0)]
    together = simulate(cell, current, dt=DT, noise="integrated", sharpen=settings).spike_times[0]
    alone = [simulate(cell, current, dt=DT, noise="integrated", sharpen=s).spike_times[0][0] for s in settings]
    assert len({len(t) for t in alone}) > 1
    for a, b in zip(together, alone, strict=True):
        assert_array_equal(a, b)
    with pytest.raises(SimulationError, match="5 settings of sharpen need noise='integrated'"):
        simulate(cell, current, dt=DT, noise="escape", sharpen=settings)


@pytest.mark.parametrize("sharpen", [[], [(1.0,)], (1.0, np.nan), (np.inf, 0.0), [(1.0, 0.0, 2.0)]])
def test_what_is_no_pair_of_numbers_is_refused_as_a_readout(sharpen):
    with pytest.raises(SimulationError, match=r"sharpen=.*: give \(beta, offset\) as finite numbers"):
        simulate(LIF.start(), np.full(100, 50.0), dt=DT, noise="integrated", sharpen=sharpen)


def test_sharpened_readout_integrates_the_sharpened_hazard():
    cell, current, beta, offset = LIF.start(), noise((1, 1, 2000), 6), 2.0, 1.5
    sharp = cell.replace(delta=cell.delta / beta, theta=cell.theta + offset)
    ones = np.ones((1, 1, 1))
    plain = compiled.run(sharp, current, DT, thresholds=ones)
    out = compiled.run(cell, current, DT, thresholds=ones, sharpen=(beta, offset))
    assert plain.counts.sum() > 3
    assert_array_equal(out.at, plain.at)


def test_replay_forces_recorded_spikes_also_while_refractory():
    cell = cells(AdLIF, 5)
    current = noise((5, 2, 600), 7)
    forced = np.random.default_rng(8).random((5, 2, 600)) < 0.02
    _, _, margins = definition(cell, current, forced=torch.tensor(forced))
    for given in (forced, [[np.flatnonzero(forced[c, t]) for t in range(2)] for c in range(5)]):
        out = compiled.run(cell, current, DT, forced=given, save=["margin"])
        assert_array_equal(out.raster(), forced)
        assert_allclose(out.traces["margin"], margins, atol=1e-9)


def test_float32_keeps_the_spikes():
    cell, current = cells(ALIF, 16, t_ref=2.0), noise((1, 1, 20_000), 9)
    double = compiled.run(cell, current, DT)
    single = compiled.run(cell, current, DT, dtype=np.float32)
    assert double.counts.sum() > 1000
    assert (double.raster() != single.raster()).sum() <= 0.002 * double.counts.sum()


def test_rows_that_spike_often_get_the_room_they_need():
    cell = LIF.start().replace(t_ref=0.0)
    out = compiled.run(cell, np.full((1, 1, 4000), 1e5), DT)
    spikes, _, _ = definition(cell, np.full((1, 1, 4000), 1e5))
    assert out.counts.sum() == spikes.sum() == 4000


def test_threads_change_nothing(monkeypatch):
    cell, current = cells(ALIF, 300), noise((300, 1, 2000), 10)
    monkeypatch.setenv("EPHYSFIT_THREADS", "1")
    one = compiled.run(cell, current, DT, dtype=np.float32)
    monkeypatch.setenv("EPHYSFIT_THREADS", "3")
    assert_array_equal(compiled.run(cell, current, DT, dtype=np.float32).at, one.at)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"current": np.zeros(5)}, "1 axes"),
        ({"current": np.zeros((1, 1, 5, 2))}, "1 inputs"),
        ({"current": np.full((1, 1, 50), np.nan)}, "not finite at step 0"),
        ({"save": ["W"]}, "no state 'W'"),
        ({"dtype": np.float16}, "float16"),
        ({"forced": [[[70]]]}, "the run has 0 to 49"),
        ({"forced": np.zeros((3, 1, 50))[:2].repeat(2, 0)[:3], "current": np.zeros((2, 1, 50))}, "cell axes"),
        ({"forced": [[[3]]], "thresholds": np.ones((1, 1, 1))}, "exclude"),
    ],
)
def test_bad_input_is_refused_with_its_reason(change, words):
    given = {"current": np.zeros((1, 1, 50)), **change}
    with pytest.raises(SimulationError, match=words):
        compiled.run(LIF.start(), given.pop("current"), DT, **given)


def test_rows_of_one_stimulus_share_a_tile():
    layout = arrange(16, [(1, 3)], 1, "float32", lanes=16)
    assert layout.shared
    assert all(len(set(tile)) == 1 for tile in layout.sources[0].reshape(-1, 16))
    assert not arrange(5, [(5, 2)], 1, "float32", lanes=16).shared
    values = np.arange(layout.row.size)
    back = np.empty(48)
    back[layout.row[layout.real]] = values[layout.real]
    assert_array_equal(layout.scatter(values).reshape(-1), back)


def test_lists_come_from_rasters_and_nested_lists():
    raster = np.zeros((1, 2, 9))
    raster[0, 0, [2, 5]] = 1
    for events in (raster, [[[5, 2], []]]):
        lists = Lists.of(events, 9)
        assert_array_equal(lists.at, [2, 5])
        assert_array_equal(lists.begin, [0, 2, 2])


def test_the_next_process_loads_instead_of_compiling(tmp_path):
    code = (
        "import time, numpy as np; from ephysfit.models.lif import LIF\n"
        "from ephysfit.simulation.engines import compiled\n"
        "t = time.process_time(); compiled.run(LIF.start(), np.zeros((1, 1, 100)), 0.1); print(time.process_time() - t)"
    )
    first, second = (float(python(code, EPHYSFIT_CACHE=str(tmp_path))) for _ in range(2))
    assert second < 1.0
    assert second < first


@pytest.mark.parametrize("neuron", [ALIF, AdLIF])
def test_a_long_record_in_stretches_is_the_record_in_one_go(neuron):
    cell = cells(neuron, 1, t_ref=2.0)
    current = noise((1, 1, 32 * 4096 + 77), 11)
    problem = compiled.Problem.of(cell, current, DT)
    done, plain = problem.forward(), problem.run()
    assert done.parts is not None
    assert plain.lane_counts.sum() > 200
    assert_array_equal(done.at, plain.at)
    assert_allclose(done.final, plain.final, rtol=1e-12)


def python(code, **environment):
    """Run code in a process of its own; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_without_vectors_kernels_run_row_by_row():
    code = (
        "import numpy as np, torch\n"
        "from ephysfit.models.alif import ALIF; from ephysfit.simulation import adjoint\n"
        "from ephysfit.simulation.engines import compiled\n"
        "cell = ALIF.start().replace(C=torch.linspace(80, 120, 20, dtype=torch.float64).requires_grad_())\n"
        "current = 200 + 300 * np.sin(np.arange(900) / 30)[None, None]\n"
        "loss = adjoint.van_rossum_loss(cell, torch.tensor(current), [[[100, 400]]], 0.1, 10.0).sum()\n"
        "loss.backward()\n"
        "problem = compiled.Problem.of(cell, current, 0.1)\n"
        "print(problem.layout.lanes, problem.forward().at.sum(), f'{float(loss):.6f} {float(cell.C.grad.sum()):.6f}')"
    )
    plain, vectors = python(code, EPHYSFIT_VECTORS="0").split(), python(code).split()
    assert plain[0] == "1"
    assert vectors[0] != "1"
    assert plain[1:] == vectors[1:]


def test_a_numba_that_refuses_vectors_is_noticed(monkeypatch):
    from ephysfit.kernels import simd, tiles

    def refuse(element, lanes):
        raise TypeError("no such model")

    tiles.vectors_work.cache_clear()
    monkeypatch.setattr(simd, "floats", refuse)
    with pytest.warns(RuntimeWarning, match="no such model"):
        assert tiles.lanes_for("float32", 100) == 1
    monkeypatch.undo()
    tiles.vectors_work.cache_clear()
    assert tiles.lanes_for("float32", 100) > 1


@pytest.mark.parametrize("shared", [True, False])
def test_gradient_of_16_rows_of_200000_steps_fits_in_ten_megabytes(shared):
    import tracemalloc

    cell = cells(ALIF, 16, t_ref=2.0)
    current = noise((1 if shared else 16, 1, 200_000), 12).astype(np.float32)
    how = {"source": "trace", "surrogate": Surrogate(20.0), "detach": False, "tau": 10.0, "dense": None}

    def gradient(steps):
        targets = Lists.of([[np.arange(100, steps, 1000)]], steps)
        given = np.ascontiguousarray(current[..., :steps])
        problem = compiled.Problem.of(cell, given, DT, targets=targets, dtype="float32")
        done = problem.forward(keep=True, tau=10.0)
        return done, problem.reverse(done, drive=False, **how)[0]

    gradient(300)  # kernels are compiled before memory is counted
    tracemalloc.start()
    done, out = gradient(200_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.isfinite(out).all()
    assert done.lane_counts.min() > 100
    assert peak < 10e6


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_record():
    """A tenth of an hour at 0.1 ms, forward and gradient; the whole hour is `benchmarks/engines.py --hour`."""
    import tracemalloc

    how = {"source": "trace", "surrogate": Surrogate(20.0), "detach": False, "tau": 10.0, "dense": None}
    cell = cells(ALIF, 1, t_ref=2.0)
    steps = 3_600_000
    current = np.tile(noise((1, 1, 400_000), 13).astype(np.float32), 9)
    targets = Lists.of([[np.arange(100, steps, 1000)]], steps)
    for _ in range(2):  # the first time loads kernels, and numba with them
        tracemalloc.start()
        problem = compiled.Problem.of(cell, current, DT, targets=targets, dtype="float32")
        done = problem.forward(keep=True, tau=10.0)
        gradient, _ = problem.reverse(done, drive=False, **how)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert done.parts is not None
    assert np.isfinite(gradient).all()
    assert done.lane_counts[0] > 3000
    assert peak < 0.6 * current.nbytes  # 8.6 MB: less than the record, let alone its states
