"""How a neuron's rate answers a spike and a small pulse on the recorded stimulus: what spikes determine of any neuron.

Of a neuron of filter banks no parameter is determined by itself, nor a sum of its weights: after-spike potentials and
what the threshold makes of them are exchanged for one another without moving a spike. Its answers are determined. They
are its spike-history filter and its stimulus filter as the recording saw them, threshold and all, point by point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ephysfit.arrays import Array, Integers, Mask
from ephysfit.simulation.replay import Replay, ReplaySweep

#: ms after a spike, and after a pulse began, at which the rate is compared
SPIKE_LAGS, PULSE_LAGS = (10.0, 20.0, 50.0, 100.0, 200.0), (5.0, 10.0, 20.0, 40.0)
#: a pulse: its length, ms, and its height, standard deviations of the current
PULSE, PUSH = 20.0, 0.1
#: least time between two pulses, and between two spikes that are left out, ms: most of what one does is then over
APART = 1000.0
#: least factor: of a rate a millionth of another no spike tells how much lower it is, and it may round to 0
LEAST = 1e-6
#: fewest places at which an answer is read
FEWEST = 10


@dataclass(frozen=True, eq=False)
class Answer:
    """One point of a filter: the rate at some places with something over the rate there without it.

    Attributes
    ----------
    name, meaning : str
    with_it, without_it : tuple of ReplaySweep
        The sweeps, in which only those places count.
    """

    name: str
    meaning: str
    with_it: tuple[ReplaySweep, ...]
    without_it: tuple[ReplaySweep, ...]

    def read(self, replay: Replay, z: Array) -> float:
        """The ratio of the summed rates at free coordinates `z`, `LEAST` or more."""
        return _divide_rates(_sum_rates(replay, z, self.with_it), _sum_rates(replay, z, self.without_it))

    def differentiate(self, replay: Replay, z: Array) -> tuple[float, Array]:
        """The ratio and its gradient with respect to the free coordinates, (parameter,); 0 where it is `LEAST`."""
        (over, over_slopes), (under, under_slopes) = (
            _differentiate_rates(replay, z, sweeps) for sweeps in (self.with_it, self.without_it)
        )
        ratio = _divide_rates(over, under)
        if ratio == LEAST:
            return LEAST, np.zeros_like(over_slopes)
        return ratio, (over_slopes - ratio * under_slopes) / under


def find_answers(sweeps: Sequence[ReplaySweep], dt: float, refractory: float) -> tuple[Answer, ...]:
    """The answers that can be read on recorded sweeps.

    The recording is replayed as it is, with every spike left out that lies `APART` behind the last one left out, and
    with small pulses added. Each lag is read at all such places at once: as a sum of rates over a sum of rates, because
    a mean of ratios would weigh places where the cell never fires like those where it does.

    Parameters
    ----------
    sweeps : sequence of ReplaySweep
        As a fit replays them; places that do not count there are not read.
    dt : float
        Step, ms.
    refractory : float
        Refractory period, ms. Places within it, and those of spikes, are left out: no rate is seen there.

    Returns
    -------
    tuple of Answer
        Without those for which the sweeps hold less than `FEWEST` places.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> fired = (rng.random(60_000) < 0.01).astype(np.uint8)
    >>> noise = ReplaySweep(rng.normal(0.0, 50.0, (60_000, 1)), fired, np.ones(60_000))
    >>> [a.name for a in find_answers([noise], 0.5, 2.0)][::4]
    ['rate 10 ms after a spike', 'rate 200 ms after a spike', 'rate 40 ms after a small pulse began']
    """
    far, longest = round(APART / dt), round(max(*SPIKE_LAGS, *PULSE_LAGS) / dt)
    push = PUSH * float(np.concatenate([s.current[s.use > 0, 0] for s in sweeps]).std())
    readable = [_find_readable_steps(s, round(refractory / dt)) for s in sweeps]
    spikes = [_keep_spaced(np.flatnonzero(s.spikes * (s.use > 0)), len(s.spikes) - longest, far) for s in sweeps]
    pulses = [np.arange(np.argmax(s.use > 0), len(s.spikes) - longest, far) for s in sweeps]
    without = [_leave_out(s, at) for s, at in zip(sweeps, spikes, strict=True)]
    pushed = [_push(s, at, push, round(PULSE / dt)) for s, at in zip(sweeps, pulses, strict=True)]
    spike = "factor by which a spike changes the rate"
    pulse = f"factor by which {push:.3g} pA for {PULSE:g} ms change the rate"
    asked = (  # without a current that varies there is no scale for a pulse: spikes alone
        ("rate {0:g} ms after a spike", spike, SPIKE_LAGS, spikes, list(sweeps), without),
        ("rate {0:g} ms after a small pulse began", pulse, PULSE_LAGS, pulses, pushed, list(sweeps)),
    )
    found = [
        _make_answer((name.format(lag), meaning), [p + round(lag / dt) for p in places], readable, over, under)
        for name, meaning, lags, places, over, under in asked[: 1 + (push > 0)]
        for lag in lags
    ]
    return tuple(a for a in found if a is not None)


def _make_answer(
    words: tuple[str, str],
    places: list[Integers],
    readable: list[Mask],
    over: list[ReplaySweep],
    under: list[ReplaySweep],
) -> Answer | None:
    """The answer at these places, one array of steps a sweep; None where too few of them are seen."""
    masks = []
    for at, free in zip(places, readable, strict=True):
        mask = np.zeros(len(free))
        mask[at] = 1.0
        masks.append(mask * free)
    if sum(m.sum() for m in masks) < FEWEST:
        return None
    sides = [tuple(replace(s, use=m) for s, m in zip(side, masks, strict=True) if m.any()) for side in (over, under)]
    return Answer(*words, *sides)


def _find_readable_steps(sweep: ReplaySweep, refractory: int) -> Mask:
    """Steps that count and hold neither a spike nor the refractory period of one."""
    barred = np.zeros(len(sweep.spikes) + refractory + 1, dtype=bool)
    for k in range(refractory + 1):
        barred[k : k + len(sweep.spikes)] |= sweep.spikes > 0
    return (sweep.use > 0) & ~barred[: len(sweep.spikes)]


def _keep_spaced(spikes: Integers, last: int, far: int) -> Integers:
    """Every spike before the last step that lies so far behind the one that was taken before it."""
    out: list[int] = []
    for k in spikes[spikes < last]:
        if not out or k - out[-1] >= far:
            out.append(int(k))
    return np.array(out, dtype=int)


def _leave_out(sweep: ReplaySweep, spikes: Integers) -> ReplaySweep:
    left = sweep.spikes.copy()
    left[spikes] = 0
    return replace(sweep, spikes=left)


def _push(sweep: ReplaySweep, pulses: Integers, height: float, steps: int) -> ReplaySweep:
    current = sweep.current.copy()
    for k in pulses:
        current[k : k + steps, 0] += height
    return replace(sweep, current=current)


def _divide_rates(over: float, under: float) -> float:
    """A rate over another one, either of which may round to 0."""
    return max(over / under, LEAST) if under > 0 else LEAST


def _sum_rates(replay: Replay, z: Array, sweeps: tuple[ReplaySweep, ...]) -> float:
    """Sum over the places of rate times step: where no spike is, the log-likelihood is minus that."""
    return -replay.value(z, sweeps)


def _differentiate_rates(replay: Replay, z: Array, sweeps: tuple[ReplaySweep, ...]) -> tuple[float, Array]:
    found = replay.information(z, sweeps)
    return -found.value, -found.gradient
