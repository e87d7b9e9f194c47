"""Quality checks: values that no patched neuron has, clipped or drifting sweeps, currents that give the spikes away.

Nothing is changed here. A finding is a sentence that states an observation and what it usually means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ephysfit.arrays import Bool, Mask, Trace
from ephysfit.data.drive import explain_undriven, find_contradiction
from ephysfit.data.leaks import Leak
from ephysfit.data.recording import Recording, Sweep

#: median voltage of a living neuron, mV
REST = (-110.0, -15.0)
#: largest current that a patch pipette passes into a soma, pA
LARGEST = 20_000.0
#: sampling steps of patch-clamp recordings, ms
STEPS = (0.002, 1.0)
#: samples at the extreme value, in runs of this length, are clipping
CLIPPED = 5
#: shift of the resting voltage between the first and the last fifth of a sweep, mV
DRIFT = 10.0
#: intervals between spikes that no neuron keeps, ms; and the part of all that may be shorter, of so many at least
NEAR, FEW, ENOUGH = 0.8, 0.02, 20
#: samples from which a noise is estimated, at most
MANY = 1 << 21
#: drop over the electrode that is worth a warning, GOhm
UNBALANCED = 0.005


def check_recording(recording: Recording, leaks: Mapping[int, Leak] | None = None) -> Recording:
    """Check a recording and add the findings to the warnings of its sweeps.

    Parameters
    ----------
    recording
        The recording, with its spikes.
    leaks
        Artefacts of the sweeps that were accepted although their current follows the spikes, by position.
    """
    leak = {k: (str(one),) for k, one in (leaks or {}).items()}
    said = [dict.fromkeys([*s.warnings, *list_findings(s), *leak.get(k, ())]) for k, s in enumerate(recording)]
    sweeps = tuple(replace(s, warnings=tuple(w)) for s, w in zip(recording.sweeps, said, strict=True))
    whole = [*filter(None, [explain_undriven(recording)]), *_check_bridge(recording)]
    return replace(recording, sweeps=sweeps, warnings=(*recording.warnings, *whole))


def list_findings(sweep: Sweep) -> tuple[str, ...]:
    """List the oddities of a sweep, in sentences.

    Parameters
    ----------
    sweep
        The sweep, with its spikes.

    Examples
    --------
    >>> import numpy as np
    >>> list_findings(Sweep(np.zeros(1000), 0.1, voltage=np.full(1000, -0.065)))
    ("voltage around -0.065 mV: these look like volts, a factor of 1000 too small; if so, in a table units={'voltage': \
'V'} corrects it",)
    """
    found = (check(sweep) for check in CHECKS)
    return tuple(sentence for sentence in found if sentence)


def _check_voltage_size(sweep: Sweep) -> str:
    if sweep.voltage is None:
        return ""
    middle = float(np.nanmedian(sweep.voltage))
    if REST[0] <= middle <= REST[1]:
        return ""
    if REST[0] <= middle * 1e3 <= REST[1] and np.nanmax(np.abs(sweep.voltage)) < 1.0:
        way = _suggest_unit("voltage", "V")
        return f"voltage around {middle:g} mV: these look like volts, a factor of 1000 too small{way}"
    if REST[0] <= middle / 1e3 <= REST[1]:
        way = _suggest_unit("voltage", "uV")
        return f"voltage around {middle:g} mV: these look like microvolts, a factor of 1000 too large{way}"
    if REST[0] <= middle / 10 <= REST[1]:
        return f"voltage around {middle:g} mV: the amplifier's gain of 10 is probably not divided out"
    return f"voltage around {middle:g} mV: no neuron rests there (usual is {REST[0]:g} to {REST[1]:g} mV)"


def _suggest_unit(quantity: str, unit: str) -> str:
    """Suggest how to give a unit other than that of the file."""
    return f"; if so, in a table units={{{quantity!r}: {unit!r}}} corrects it"


def _check_current_size(sweep: Sweep) -> str:
    largest = float(np.abs(sweep.current).max())
    if largest > LARGEST:
        return f"current up to {largest:g} pA: no pipette passes that; are these fA, or a factor of 1000 wrong?"
    if 0 < largest < 1.0 and len(sweep.spike_times):
        way = _suggest_unit("current", "nA")
        return f"current up to {largest:g} pA only: these look like nA, a factor of 1000 too small{way}"
    return ""


def _check_swapped(sweep: Sweep) -> str:
    """Check for swapped channels: spikes in the current and none in the voltage."""
    if sweep.voltage is None or len(sweep.spike_times) or not REST[0] <= np.median(sweep.current) <= REST[1]:
        return ""
    if REST[0] <= np.nanmedian(sweep.voltage) <= REST[1] or float(np.ptp(sweep.current)) < 50.0:
        return ""
    return "the current looks like a membrane voltage and the voltage does not: are the channels swapped?"


def _check_step(sweep: Sweep) -> str:
    if STEPS[0] <= sweep.dt <= STEPS[1]:
        return ""
    better = "a rate in kHz taken for Hz" if sweep.dt > STEPS[1] else "a rate in Hz taken for kHz, or seconds for ms"
    return f"sampled every {sweep.dt:g} ms: usual is {STEPS[0]:g} to {STEPS[1]:g} ms; {better}?"


def _check_rate(sweep: Sweep) -> str:
    return (
        f"{sweep.rate:.0f} spikes per second: no neuron keeps that up; is the sampling step right?"
        if sweep.rate > 700
        else ""
    )


def _check_intervals(sweep: Sweep) -> str:
    intervals = np.diff(sweep.spike_times)
    near = int(np.sum(intervals < NEAR))
    if len(intervals) < ENOUGH or near <= FEW * len(intervals):
        return ""
    return (
        f"{near} of {len(intervals)} intervals between spikes are shorter than {NEAR:g} ms, in which no neuron fires "
        "twice: are spikes listed twice, or those of two cells together?"
    )


def _check_clipped(sweep: Sweep) -> str:
    clipped = _has_flat_top(sweep.voltage)
    return "voltage clipped: runs of samples stay at the largest or smallest value" if clipped else ""


def _has_flat_top(trace: Trace | None) -> bool:
    """Whether a noisy trace has runs at its extreme: a step's plateau is flat throughout and does not count."""
    if trace is None or len(trace) < 100 or np.mean(np.diff(trace) == 0) > 0.2:
        return False
    return any(_find_longest_run(trace == extreme) >= CLIPPED for extreme in (np.nanmax(trace), np.nanmin(trace)))


def _find_longest_run(mask: Bool[Mask, " time"]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _check_drift(sweep: Sweep) -> str:
    """Check for a drift of the resting potential: compare voltages at equal current early and late in the sweep."""
    fifth = sweep.steps // 5
    if sweep.voltage is None or fifth < 100 or sweep.duration < 1000:
        return ""
    early, late = slice(None, fifth), slice(-fifth, None)
    level = float(np.median(sweep.current))
    slack = max(0.1 * float(np.std(sweep.current)), 1e-9)
    ends = [part[np.abs(sweep.current[when] - level) <= slack] for when, part in
            ((early, sweep.voltage[early]), (late, sweep.voltage[late]))]  # fmt: skip
    if min(map(len, ends)) < 50:
        return ""
    gap = float(np.nanmedian(ends[1]) - np.nanmedian(ends[0]))
    return f"unstable: the voltage at the same current moved by {gap:.0f} mV over the sweep" if abs(gap) > DRIFT else ""


def measure_electrode_drop(sweep: Sweep) -> float:
    """Measure how far the voltage jumps with the current within a sample or two, GOhm.

    It is the resistance that the bridge left uncompensated; a negative value was compensated too much. The electrode
    responds at once, the membrane with its time constant. The instantaneous response is found by regression of the
    increments of the voltage on those of the current, without spikes.

    Parameters
    ----------
    sweep
        The sweep; 0 is returned without a voltage, or with fewer than 1000 samples.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> current = np.repeat(rng.normal(0, 100, 500), 20)
    >>> voltage = 0.012 * current + rng.normal(-65, 0.1, current.size)
    >>> round(measure_electrode_drop(Sweep(current, 0.05, voltage)), 3)
    0.012
    """
    if sweep.voltage is None or sweep.steps < 1000:
        return 0.0
    v, current = sweep.voltage, sweep.current
    some = np.arange(0, sweep.steps - 1, max(sweep.steps // MANY, 1))
    noise = 1.4826 * float(np.nanmedian(np.abs(v[some + 1] - v[some])))
    di = np.diff(current)
    usual = 1.4826 * float(np.median(np.abs(di[some])))
    np.abs(di, out=di)
    at = np.flatnonzero(di > 4 * max(usual, 1e-9))
    dv, di = v[at + 1] - v[at], current[at + 1] - current[at]
    sound = np.isfinite(dv)
    dv, di = dv[sound], di[sound]
    if len(dv) < 2 or not noise:
        return 0.0
    slope = float(dv @ di / (di @ di))
    error = noise / float(np.sqrt(di @ di))
    return slope if abs(slope) > 4 * error else 0.0


def _check_bridge(recording: Recording) -> list[str]:
    """Check the bridge balance: a sentence on the drop over the electrode that is left or overcompensated."""
    drops = [drop for drop in map(measure_electrode_drop, recording.sweeps) if abs(drop) > UNBALANCED]
    if len(drops) < max(len(recording) / 2, 1):
        return []
    drop = float(np.median(drops))
    if drop > 0:
        return [
            f"the voltage jumps with the current by {1e3 * drop:.0f} MOhm: the bridge was not balanced, the drop over "
            "the electrode is in the voltage (spike times hardly suffer; ef.compensate_electrode takes it off)"
        ]
    return [
        f"the voltage jumps against the current by {1e3 * drop:.0f} MOhm: the bridge was balanced too far, so that "
        "edges of the current appear inverted in the voltage (spikes are detected without them)"
    ]


CHECKS: tuple[Callable[[Sweep], str], ...] = (
    _check_voltage_size, _check_current_size, _check_swapped, _check_step, _check_rate, _check_intervals,
    _check_clipped, _check_drift, find_contradiction,
)  # fmt: skip
