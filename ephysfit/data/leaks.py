"""Does the recorded current follow the spikes that it should cause? If the voltage leaks into the current channel of an
amplifier, the current gives the spikes away to a model.

A current that makes the cell fire is unusual *before* the spike, which is no evidence of a leak. Only the current
*after* a spike, which cannot be its cause, is judged. Three references predict it in the absence of the spike:

- steps: the levels between lasting jumps, where the current moves in steps;
- repeats: the mean of the other repeats, where one current is played three times or more;
- the past: for all others, a prediction from the last samples and the means of the last 1 to 100 ms.

The difference from the reference is whitened by its own past (a prediction fitted to samples that do not follow a
spike, and so independent of the spikes unless there is a leak) and compared with waveforms that begin at the spike:
rectangles and decays of 0.3 to 2 ms, and the cell's own mean spike with its slope where a voltage was recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, pairwise

import numpy as np
import scipy  # loads its parts when they are first used

from ephysfit.arrays import Array, Bool, Float64, Int64, Integers, Mask, Trace
from ephysfit.data.repeats import Stimulus, group_repeats
from ephysfit.data.spikes import count_slope_samples
from ephysfit.data.sweep import Sweep

#: indices of samples
Index = Int64[Integers, " _"]

#: probability that a recording without a leak fails any of the tests on it
FALSE = 1.5e-3
#: a leak is at least this fraction of the current's standard deviation: a smaller one is of no use to a model
SIZE = 0.02
#: spikes needed for a decision
ENOUGH = 20
#: the sample that holds a spike may have caused it, and the next one, too, where simulators stamp spikes early, which
#: shows in that it stands out by this part of what the one before does
CAUSAL = 0.5
#: and not where it stands out by so much more than they foretell, and so many standard errors; in steps up to this, ms
LARGE, FINE = (1.5, 4.0), 0.25
#: how long after a spike the current is looked at: ms, and samples at least
WINDOW, FEWEST = 3.0, 4
#: samples, and means over ms, of the past that predict the next sample
SAMPLES, MEANS = 4, (1.0, 3.0, 10.0, 30.0, 100.0)
#: increments from which the prediction is fitted, and spikes looked at, at most
ROWS, MOST = 40_000, 20_000
#: increments beyond this many usual ones are edges of the stimulus, where they are rare ...
EDGE, RARE = 8.0, 0.05
#: ... and as many elsewhere as after spikes, or where the new level lasts after so many of them
LASTING = 0.7
#: what is left of a current in steps is noise of the recording: at most so many times the noise of its increments
FLAT = 2.0
#: moments with a like past and no spike that each spike is compared with
CONTROLS = 8
#: a current is held, over so many samples at most, where this part of its jumps lie on one grid and fill it so far
HELD, GRID, FULL = 64, 0.98, 0.7
#: repeats needed for a mean of the others
REPEATS = 3
#: sweeps play the same noise where their currents correlate so far, over so many samples
SAME, SAME_SAMPLES = 0.5, 2000

REFERENCES = {
    "steps": "the levels of its steps",
    "repeats": "the mean of the other repeats",
    "past": "the prediction from its own past",
}


@dataclass(frozen=True)
class Leak:
    """An artefact locked to the spikes.

    Parameters
    ----------
    score
        Amplitude of the waveform that fits best, in standard errors.
    size
        Peak of the artefact, pA.
    reference
        Reference of the comparison, a key of `REFERENCES`.
    """

    score: float
    size: float
    reference: str

    def __str__(self) -> str:
        return (
            f"the current carries an artefact of {abs(self.size):.2g} pA locked to the spikes ({abs(self.score):.0f} "
            f"standard errors from {REFERENCES[self.reference]}): it would give the spikes away to a model"
        )


@dataclass(frozen=True, eq=False)
class _Part:
    """One sweep and one reference: the difference between them, and the samples that hold spikes."""

    sweep: Sweep
    reference: str
    rest: Trace
    at: Index

    @cached_property
    def total(self) -> Float64[Array, " edge"]:
        """Cumulative sum of the difference before each sample, shape (time + 1,)."""
        out = np.empty(len(self.rest) + 1)
        out[0] = 0.0
        np.cumsum(self.rest, out=out[1:])
        return out

    @property
    def after(self) -> int:
        """Number of samples, from that of a spike on, that may have caused it."""
        detected = self.sweep.spike_source == "detected"
        return 1 + (int(np.ceil(count_slope_samples(self.sweep.dt) / 2 + 1)) if detected else 0)

    @property
    def reach(self) -> int:
        """Number of samples, from that of a spike on, that are examined."""
        return self.after + max(round(WINDOW / self.sweep.dt), FEWEST)


def find_leaks(sweeps: Sequence[Sweep]) -> dict[int, Leak]:
    """Find the sweeps whose current carries an artefact locked to the spikes: position to artefact.

    Sweeps that repeat a stimulus are judged separately from the others, because they usually form the test set. A sweep
    with twenty spikes is judged by itself, and all remaining sweeps together.

    Parameters
    ----------
    sweeps
        Sweeps with their spikes.

    Examples
    --------
    >>> from ephysfit.synthetic import noise_current
    >>> current = noise_current(20_000.0, 0.1, 100.0, 50.0)
    >>> spikes = np.arange(100.0, 19_900.0, 37.0)
    >>> honest = Sweep(current, 0.1, spike_times=spikes)
    >>> bump = np.convolve(np.bincount((spikes / 0.1).astype(int), minlength=current.size), np.full(10, 15.0))
    >>> artefact = Sweep(current + bump[: current.size], 0.1, spike_times=spikes)
    >>> find_leaks([honest]), list(find_leaks([artefact]))
    ({}, [0])
    """
    place = {id(sweep): k for k, sweep in enumerate(sweeps)}
    groups = group_repeats(sweeps)
    found: dict[int, Leak] = {}
    for repeated in (False, True):
        side = [group for group in groups if (group.repeats >= REPEATS) == repeated]
        parts = [part for group in side for part in _find_references(group)]
        found |= {place[key]: leak for key, leak in _judge_parts(parts).items()}
    return found


def _find_references(group: Stimulus) -> list[_Part]:
    """Pair each sweep with spikes of one stimulus with every reference that it has."""
    out = []
    for sweep in group.sweeps:
        at = find_spike_samples(sweep)
        if not at.size or not np.ptp(sweep.current):
            continue
        levels = find_step_levels(sweep.current, sweep.dt, at)
        rest = sweep.current if levels is None else sweep.current - levels
        out.append(_Part(sweep, "past" if levels is None else "steps", rest, at))
        if group.repeats >= REPEATS:
            out.append(_Part(sweep, "repeats", sweep.current - _average_other_repeats(group, sweep), at))
    return [part for part in out if part.sweep.steps > SAMPLES + part.reach]


def find_spike_samples(sweep: Sweep) -> Index:
    """Find the samples that hold the spikes of a sweep, each once."""
    at = np.floor(sweep.spike_times / sweep.dt + 1e-6).astype(np.int64)
    return np.unique(at[(at >= 0) & (at < sweep.steps)])


def _average_other_repeats(group: Stimulus, sweep: Sweep) -> Trace:
    """Average the current of the other repeats; where there is no other, take the sweep's own current."""
    total, count = np.zeros(sweep.steps), np.zeros(sweep.steps)
    for other in group.sweeps:
        if other is not sweep:
            n = min(other.steps, sweep.steps)
            total[:n] += other.current[:n]
            count[:n] += 1
    return np.where(count > 0, total / np.maximum(count, 1), sweep.current)


def _judge_parts(parts: list[_Part]) -> dict[int, Leak]:
    """Find the leaks of all parts, by the identity of their sweep."""
    kind = lambda part: (part.reference, round(part.sweep.dt, 9), part.after)  # noqa: E731
    pools = [_project_on_waveforms(list(pool)) for _, pool in groupby(sorted(parts, key=kind), key=kind)]
    tests = sum(1 + sum(len(own) >= ENOUGH for own in pool) for pool in pools)
    found: dict[int, Leak] = {}
    for pool in pools:
        own = {id(one.part.sweep): leak for one in pool if (leak := _find_leak([one], tests))}
        honest = [one for one in pool if id(one.part.sweep) not in own]
        if leak := _find_leak(honest, tests):
            own |= {id(one.part.sweep): leak for one in honest}
        for key, leak in own.items():  # of two references the one that shows it best
            found[key] = max(found.get(key, leak), leak, key=lambda one: abs(one.score))
    return found


@dataclass(frozen=True, eq=False)
class _Prediction:
    """Prediction of an increment from the past, and the waveforms whitened by it, shape (waveform, step)."""

    weights: Float64[Array, " column"]
    means: tuple[int, ...]
    response: Float64[Array, "waveform step"]
    peaks: Float64[Array, " waveform"]

    def make_past_columns(self, part: _Part, at: Int64[Integers, "..."]) -> Float64[Array, "... column"]:
        """Make the columns of the past at these samples."""
        return _make_past_columns(part.rest, part.total, at, self.means)

    def find_unpredicted(self, part: _Part, at: Int64[Integers, "*shape"]) -> Float64[Array, "*shape"]:
        """Find the part of the increment after each of these samples that the past does not predict."""
        return part.rest[at + 1] - part.rest[at] - self.make_past_columns(part, at) @ self.weights


#: first sample of the window of each spike, steps that belong to it, and the unpredicted current there
Unpredicted = tuple[Int64[Integers, " spike"], Bool[Mask, "spike step"], Float64[Array, "spike step"]]


@dataclass(frozen=True, eq=False)
class _Projected:
    """Projection of the current after the spikes of one part on each waveform, shape (spike, waveform)."""

    part: _Part
    by: _Prediction
    at: Index
    own: Bool[Mask, "spike step"]
    along: Float64[Array, "spike waveform"]

    def __len__(self) -> int:
        return len(self.along)

    @property
    def power(self) -> Float64[Array, "spike waveform"]:
        """Power of the waveforms, within the window that belongs to each spike."""
        return self.own @ (self.by.response**2).T

    def subtract_controls(self) -> _Projected:
        """Subtract what follows moments with a similar past and no spike, where the prediction errs in the same way."""
        part, steps = self.part, self.by.response.shape[1]
        free = _find_samples_away(part, ROWS)
        free = free[free + steps < part.sweep.steps - 1]
        if len(free) < 10 * CONTROLS:
            return self
        columns = self.by.make_past_columns(part, free)[:, 1:]
        scale = np.maximum(columns.std(axis=0), 1e-12)
        tree = scipy.spatial.cKDTree(columns / scale)
        near = free[tree.query(self.by.make_past_columns(part, self.at)[:, 1:] / scale, CONTROLS)[1]]
        usual = self.by.find_unpredicted(part, near[:, :, None] + np.arange(steps)).mean(axis=1)
        return replace(self, along=self.along - (usual * self.own) @ self.by.response.T)


def _find_leak(pool: list[_Projected], tests: int) -> Leak | None:
    """Find the artefact of these sweeps together, if it remains after subtracting the controls."""
    first = _find_strongest(pool, tests)
    return first and _find_strongest([own.subtract_controls() for own in pool], tests)


def _find_strongest(pool: list[_Projected], tests: int) -> Leak | None:
    """Find the waveform that stands out most, if it does so by more than chance."""
    if sum(map(len, pool)) < ENOUGH:
        return None
    alike = _number_moments(pool)
    along, power = (_sum_by_moment(np.concatenate([getattr(own, name) for own in pool]), alike)
                    for name in ("along", "power"))  # fmt: skip
    if len(along) < ENOUGH:
        return None
    whole = np.maximum(power.sum(axis=0), 1e-300)
    size = along.sum(axis=0) / whole
    error = np.sqrt(((along - size * power) ** 2).sum(axis=0)) / whole
    spread = float(np.sqrt(np.mean([np.var(own.part.sweep.current) for own in pool])))
    score = size / np.maximum(error, 1e-6 * spread)
    sizes = size * pool[0].by.peaks
    limit = scipy.special.stdtrit(len(along) - 1, 1 - FALSE / (2 * tests * len(size)))
    large = (np.abs(sizes) >= SIZE * spread) & (np.abs(score) >= limit)
    if not large.any():
        return None
    best = int(np.argmax(np.where(large, np.abs(score), 0.0)))
    return Leak(float(score[best]), float(sizes[best]), pool[0].part.reference)


def _number_moments(pool: list[_Projected]) -> Index:
    """Number the spikes, with one number for spikes at the same moment of the same noise.

    Sweeps that repeat one noise, scaled or not, have spikes at the same moments. However many there are, they are one
    piece of evidence about that noise. The noise of the recording is new in each sweep.
    """
    count = sum(map(len, pool))
    if len(pool) < 2 or pool[0].part.reference == "repeats":
        return np.arange(count)
    stimulus = _find_shared_noises([own.part for own in pool])
    dt = pool[0].part.sweep.dt
    moments = np.stack([
        np.concatenate([np.full(len(own), k) for own, k in zip(pool, stimulus, strict=True)]),
        np.concatenate([own.at for own in pool]),
    ])  # fmt: skip
    span, number, begun = max(round(WINDOW / dt), FEWEST), -1, (-1, 0)
    alike = np.empty(count, dtype=np.int64)
    for k in np.lexsort(moments[::-1]):
        which, at = int(moments[0, k]), int(moments[1, k])
        if which != begun[0] or at - begun[1] >= span:
            number, begun = number + 1, (which, at)
        alike[k] = number
    return alike


def _find_shared_noises(parts: list[_Part]) -> list[int]:
    """Find the noise of each part: the position of the first part whose current correlates with its own."""
    steps = min(part.sweep.steps for part in parts)
    every = max(steps // SAME_SAMPLES, 1)
    rows = np.stack([part.rest[:steps:every] for part in parts])
    rows = rows - rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.sqrt(np.einsum("kt,kt->k", rows, rows)), 1e-300)[:, None]
    first: list[int] = []
    for k, row in enumerate(rows):
        same = [j for j in sorted(set(first)) if float(np.einsum("t,t->", rows[j], row)) > SAME]
        first.append(same[0] if same else k)
    return first


def _sum_by_moment(
    values: Float64[Array, "spike waveform"], alike: Int64[Integers, " spike"]
) -> Float64[Array, "moment waveform"]:
    """Sum over the spikes of each moment, shape (moment, waveform)."""
    out = np.zeros((int(alike.max()) + 1 if alike.size else 0, values.shape[1]))
    np.add.at(out, alike, values)
    return out


def _project_on_waveforms(pool: list[_Part]) -> list[_Projected]:
    """Project the unpredicted current after each spike on each waveform."""
    first = pool[0]
    means = tuple(m for m in (round(ms / first.sweep.dt) for ms in MEANS) if m > SAMPLES)
    rows = [_find_samples_away(part, ROWS // len(pool) + 1) for part in pool]
    past = np.concatenate(
        [_make_past_columns(part.rest, part.total, at, means) for part, at in zip(pool, rows, strict=True)]
    )
    steps = np.concatenate([part.rest[at + 1] - part.rest[at] for part, at in zip(pool, rows, strict=True)])
    weights, usual = _fit_past(past, steps)
    shapes = _make_waveforms(pool)
    lead = max(means, default=0) + SAMPLES
    response = np.stack([_whiten(np.pad(w, (lead, 0)), weights, means, len(w)) for w in shapes])
    response = response[:, first.after - 1 : first.reach - 1]
    by = _Prediction(weights, means, response, np.abs(shapes).max(axis=1))
    left = [_find_unpredicted(part, by) for part in pool]
    edges = _are_stimulus_edges(steps - past @ weights, pool, left, EDGE * usual)
    early = first.after == 1 and first.reference != "repeats" and _is_causal(pool, by, left, usual)
    out = []
    for part, (at, own, rest) in zip(pool, left, strict=True):
        own = own & ~_extend_mask(np.abs(rest) > EDGE * usual, round(WINDOW / part.sweep.dt)) if edges else own
        own[:, :1] &= not early
        out.append(_Projected(part, by, at, own, (rest * own) @ response.T))
    return out


def _is_causal(pool: list[_Part], by: _Prediction, left: list[Unpredicted], usual: float) -> bool:
    """Whether the sample after that of the spike looks like a cause.

    It is a cause where a simulator stamps a spike at the beginning of the step that made it. Causes are upward and as
    unusual as the samples before suggest, because a membrane integrates. Anything far smaller, or far larger in fine
    steps, is not a cause.
    """
    before = np.zeros(2)
    for k in range(2):
        rows = [
            by.find_unpredicted(p, np.maximum(at - 1 - k, SAMPLES - 1))
            for p, (at, _, _) in zip(pool, left, strict=True)
        ]
        before[k] = np.concatenate(rows).mean()
    after = np.concatenate([rest[:, 0] for _, _, rest in left])
    expected = max(before[0], 2 * before[0] - before[1], 0.0)
    margin = LARGE[1] * usual / np.sqrt(len(after))
    large = pool[0].sweep.dt <= FINE and after.mean() > LARGE[0] * expected + margin
    return bool(after.mean() > CAUSAL * max(before[0], 0.0)) and not large


def _find_samples_away(part: _Part, most: int) -> Index:
    """Find samples that do not follow a spike. Those before one count, because leaving them out would look ahead."""
    free = np.ones(part.sweep.steps - 1, dtype=bool)
    for shift in range(part.reach):
        at = part.at + shift
        free[at[at < free.size]] = False
    every = max(int(free.sum()) // most, 1)
    some = np.arange(SAMPLES - 1, free.size, every)
    found = some[free[some]]
    return found if found.size >= 100 else some


def _make_past_columns(
    rest: Trace, total: Float64[Array, " edge"], at: Int64[Integers, "..."], means: Sequence[int]
) -> Float64[Array, "... column"]:
    """Make the predictors of an increment: a constant, the last samples, means of the past; shape (..., column)."""
    columns = [np.ones(at.shape), *(rest[at - k] for k in range(SAMPLES))]
    for m in means:
        begin = np.maximum(at + 1 - m, 0)
        columns.append((total[at + 1] - total[begin]) / (at + 1 - begin))
    return np.stack(columns, axis=-1)


def _fit_past(
    past: Float64[Array, "row column"], steps: Float64[Array, " row"]
) -> tuple[Float64[Array, " column"], float]:
    """Fit the weights of the past by least squares, without stimulus edges; also the usual size of the residual."""
    exact = 1e-9 * float(np.abs(past[:, 1]).max())
    keep = np.ones(len(steps), dtype=bool)
    for _ in range(5):
        weights: Float64[Array, " column"] = np.linalg.lstsq(past[keep], steps[keep], rcond=1e-10)[0].astype(np.float64)
        rest = np.abs(steps - past @ weights)
        usual = max(1.4826 * float(np.median(rest)), exact)
        keep = rest <= EDGE * usual
    if np.mean(~keep) <= RARE:
        return weights, usual
    # two kinds of increments, as in a rectified current: neither kind is an edge
    weights = np.linalg.lstsq(past, steps, rcond=1e-10)[0].astype(np.float64)
    return weights, float(np.sqrt(np.mean((steps - past @ weights) ** 2)))


def _whiten(shape: Trace, weights: Float64[Array, " column"], means: Sequence[int], n: int) -> Float64[Array, " step"]:
    """Find the unpredicted part of a current that was zero before this waveform, at all but the last sample."""
    at = np.arange(len(shape) - n, len(shape) - 1)
    total = np.concatenate([[0.0], np.cumsum(shape)])
    return shape[at + 1] - shape[at] - _make_past_columns(shape, total, at, means)[:, 1:] @ weights[1:]


def _find_unpredicted(part: _Part, by: _Prediction) -> Unpredicted:
    """Find where the window of each spike begins, which steps belong to it, and the unpredicted current there.

    A sample belongs to the last spike that it cannot have caused.
    """
    stride = max(len(part.at) // MOST, 1)
    ends = np.append(part.at[1:], 2 * part.sweep.steps)[::stride]
    begin = part.at[::stride] + part.after - 1
    at = begin[:, None] + np.arange(part.reach - part.after)
    own = (at + 1 < part.sweep.steps) & (at < ends[:, None] + part.after - 1) & (at >= SAMPLES - 1)
    begin = np.clip(begin, SAMPLES - 1, part.sweep.steps - 2)
    rest = by.find_unpredicted(part, np.where(own, at, SAMPLES - 1))
    return begin, own, np.where(own, rest, 0.0)


def _are_stimulus_edges(
    elsewhere: Float64[Array, " row"], pool: list[_Part], left: list[Unpredicted], limit: float
) -> bool:
    """Whether large increments after spikes are edges of the stimulus: there are as many elsewhere, or they last."""
    sizes, lasting, spikes = [np.empty(0)], 0, 0
    for part, (begin, _, rest) in zip(pool, left, strict=True):
        large = np.abs(rest) > limit
        sizes.append(np.abs(rest[large]))
        begin = begin[large.any(axis=1)]
        at = np.minimum(begin[:, None] + np.arange(rest.shape[1] + FEWEST), part.sweep.steps - 1)
        n = rest.shape[1] // 2
        slope = (part.rest[begin] - part.rest[np.maximum(begin - n, 0)]) / n
        away = np.abs(part.rest[at] - part.rest[begin][:, None] - slope[:, None] * (at - begin[:, None]))
        lasting += int(np.sum(away[:, -1] > away.max(axis=1) / 2))
        spikes += begin.size
    followed = np.concatenate(sizes)
    alike = max(limit, float(np.median(followed)) / 2) if followed.size else limit
    return bool((np.abs(elsewhere) > alike).sum() >= followed.size / 2 or lasting >= LASTING * spikes)


def _extend_mask(mask: Bool[Mask, "spike step"], n: int) -> Bool[Mask, "spike step"]:
    """Extend each True by n further steps along the last axis."""
    out = mask.copy()
    for k in range(1, n + 1):
        out[:, k:] |= mask[:, :-k]
    return out


def _make_waveforms(pool: list[_Part]) -> Float64[Array, "waveform sample"]:
    """Make waveforms of artefacts that begin at the sample of the spike, with peak 1, shape (waveform, sample)."""
    dt, n = pool[0].sweep.dt, pool[0].reach
    t = np.arange(n)
    widths = sorted({max(round(width / dt), 1) for width in (0.3, 1.0, 2.0)})
    boxes = [((t > 0) & (t <= m)).astype(float) for m in widths] + [(t < widths[-2 if len(widths) > 2 else -1]) * 1.0]
    decays = [np.exp(-t * dt / tau) * (t > 0) for tau in (0.5, 2.0)]
    bells = [np.exp(-(((t * dt - at) / width) ** 2)) for at, width in ((0.3, 0.2), (0.5, 0.3), (1.0, 0.6))]
    bells += [np.diff(bell, prepend=0.0) for bell in bells[1:]]
    shapes = [shape for shape in (*boxes, *decays, *bells, *_average_spike(pool)) if np.abs(shape).max() > 0]
    return np.stack([shape / np.abs(shape).max() for shape in shapes])


def _average_spike(pool: list[_Part]) -> list[Trace]:
    """Average the cell's spikes from their onset on, with the slope; empty if no voltage was recorded."""
    n = pool[0].reach
    cut = []
    for part in pool:
        if part.sweep.voltage is not None:
            at = part.at[(part.at > 1) & (part.at + n < part.sweep.steps)]
            at = at[:: max(len(at) // 200, 1)]
            cut.append(part.sweep.voltage[at[:, None] + np.arange(-1, n)])
    rows = np.concatenate(cut) if cut else np.empty((0, n + 1))
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        return []
    mean = rows.mean(axis=0)
    return [mean[1:] - mean[0], np.diff(mean)]


def find_step_levels(current: Trace, dt: float, spikes: Index | None = None) -> Trace | None:
    """Find the command of a current in steps: each stretch at its median, pA; None if it does not move in steps.

    Parameters
    ----------
    current
        pA, shape (time,), with the noise of its recording.
    dt
        Sampling step, ms.
    spikes
        Samples of the spikes, sorted. A short stretch that begins within 3 ms of a spike, at a level that occurs
        nowhere else in the command, is an artefact and not a step.

    Examples
    --------
    >>> current = np.repeat([0.0, 130.0, 0.0], 500) + np.random.default_rng(0).normal(0, 1, 1500)
    >>> np.unique(find_step_levels(current, 0.1).round(0)).size
    2
    """
    d = np.diff(current)
    np.abs(d, out=d)
    noise = 1.4826 * float(np.median(d[:: max(len(d) // ROWS, 1)])) / np.sqrt(2)
    at = np.empty(0, dtype=np.int64) if spikes is None else spikes
    after = _mask_after_spikes(len(current), dt, at)
    whole = current
    if noise == 0 and at.size:
        current = _bridge_artefacts(current, dt, at, after)
        d = np.abs(np.diff(current))
    jumps = 1 + np.flatnonzero(d > max(EDGE * noise * np.sqrt(2), 1e-9 * float(np.ptp(current))))
    del d
    bounds = _find_held_grid(current, jumps, after, EDGE * noise)
    held = bounds is not None
    if bounds is None:
        if jumps.size > len(current) * min(dt / WINDOW, 0.1):
            return None
        bounds = np.concatenate([[0], jumps, [len(current)]])
    levels = np.array([np.median(current[a:b]) for a, b in pairwise(bounds)])
    levels = levels if held else _drop_artefact_levels(levels, bounds, noise, dt, at)
    some = np.arange(0, len(whole), max(len(whole) // ROWS, 1))
    usual = 1.4826 * float(np.median(np.abs(whole[some] - levels[np.searchsorted(bounds, some, side="right") - 1])))
    if usual > FLAT * noise:
        return None
    command = np.repeat(levels, np.diff(bounds))
    if held or not noise:
        return command
    return command + _find_small_steps(np.where(after, 0.0, whole - command), bounds, usual)


def _mask_after_spikes(n: int, dt: float, spikes: Index) -> Bool[Mask, " time"]:
    """Mark the samples within 3 ms after a spike."""
    after = np.zeros(n, dtype=bool)
    for shift in range(1, max(round(WINDOW / dt), FEWEST) + 2):
        after[np.minimum(spikes + shift, n - 1)] = True
    return after


def _find_small_steps(rest: Trace, bounds: Index, noise: float) -> Trace:
    """Find steps within the noise by how long they last: each stretch is divided where its sum departs most."""
    out = np.zeros_like(rest)
    todo = [(int(a), int(b)) for a, b in pairwise(bounds)]
    while todo:
        a, b = todo.pop()
        n = b - a
        if n < 2 * FEWEST:
            continue
        part = rest[a:b]
        k = np.arange(1, n)
        apart = np.abs(np.cumsum(part)[:-1] - k * part.mean()) / np.sqrt(k * (n - k) / n)
        best = int(np.argmax(apart))
        if apart[best] > EDGE * noise and FEWEST <= best + 1 <= n - FEWEST:
            todo += [(a, a + best + 1), (a + best + 1, b)]
        else:
            out[a:b] = float(np.median(part))
    return out


def _bridge_artefacts(current: Trace, dt: float, spikes: Index, after: Bool[Mask, " _"]) -> Trace:
    """Put the samples after each spike back to a level of the command, in a current of a few exact levels.

    That is the level at the spike, if the current returns to it through values that occur nowhere else; or the nearest
    level that occurs elsewhere, if an edge follows.
    """
    reach = max(round(WINDOW / dt), FEWEST) + 1
    at = np.minimum(spikes[:, None] + np.arange(1, reach + 1), current.size - 1)
    known = np.unique(current[~after])
    if not known.size or known.size > current.size / HELD:
        return current
    right = np.clip(np.searchsorted(known, current[at]), 1, max(known.size - 1, 1))
    low, high = known[right - 1], known[np.minimum(right, known.size - 1)]
    near = np.where(current[at] - low <= high - current[at], low, high)
    back = current[spikes] == current[np.minimum(at[:, -1] + 1, current.size - 1)]
    strange = ~np.isin(current[at], known).all(axis=1)
    out = current.copy()
    out[at] = np.where((back & strange)[:, None], current[spikes][:, None], near)
    return out


def _find_held_grid(current: Trace, jumps: Index, after: Bool[Mask, " _"], noise: float) -> Index | None:
    """Find the bounds of the stretches over which a current is held, if its jumps away from spikes lie on a grid."""
    n, free = len(current), float(np.sum(~after))
    jumps = jumps[~after[np.minimum(jumps, n - 1)]]
    if jumps.size < ENOUGH:
        return None
    for m in range(HELD, 1, -1):
        phase = int(np.bincount(jumps % m).argmax())
        if np.mean(jumps % m == phase) < GRID or jumps.size < FULL * free / m:
            continue
        whole = current[phase : phase + (n - phase) // m * m].reshape(-1, m)
        off = np.abs(whole - np.median(whole, axis=1)[:, None]) > max(noise, 1e-9 * float(np.ptp(current)))
        off &= ~after[phase : phase + whole.size].reshape(-1, m)
        if np.mean(off.any(axis=1)) < 1 - GRID:
            return np.unique(np.concatenate([[0], np.arange(phase, n, m), [n]]))
    return None


def _drop_artefact_levels(
    levels: Float64[Array, " stretch"], bounds: Index, noise: float, dt: float, spikes: Index
) -> Float64[Array, " stretch"]:
    """Put short stretches after spikes back to the level before, unless their own level occurs elsewhere too."""
    if not spikes.size:
        return levels
    reach = max(round(WINDOW / dt), FEWEST)
    begins = bounds[:-1]
    last = np.searchsorted(spikes, begins, side="right") - 1
    follows = (last >= 0) & (begins - spikes[np.maximum(last, 0)] <= reach)
    short = follows & (np.diff(bounds) <= reach)
    known = np.sort(levels[~short])
    slack = max(5 * noise, 0.01 * float(np.ptp(levels)), 1e-9)
    levels = levels.copy()
    for k in np.flatnonzero(short):
        near = known[max(np.searchsorted(known, levels[k]) - 1, 0) :][:2]
        if k and not np.any(np.abs(near - levels[k]) <= slack):
            levels[k] = levels[k - 1]
    return levels
