"""The membrane by regression between spikes: conductance, capacitance and rest from any current that varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Array, Float64
from ephysfit.data.sweep import Sweep

#: step of the regression, ms: long against electrode artefacts, short against the membrane
STEP = 1.0
#: left out about each spike, ms
BEFORE, AFTER = 3.0, 25.0
#: rows that a regression needs
ENOUGH = 200

#: rows of the regression: (voltage, current, 1) and the change of the voltage over one step
Rows = tuple[Float64[Array, "row 3"], Float64[Array, " row"]]


@dataclass(frozen=True)
class Membrane:
    """A passive membrane.

    Attributes
    ----------
    conductance : float, nS
    capacitance : float, pF
    rest : float, mV, without current
    """

    conductance: float
    capacitance: float
    rest: float

    @property
    def resistance(self) -> float:
        """Input resistance, MOhm."""
        return 1e3 / self.conductance

    @property
    def tau(self) -> float:
        """Time constant, ms."""
        return self.capacitance / self.conductance


def prepare_regression(sweep: Sweep, step: float = STEP, before: float = BEFORE, after: float = AFTER) -> Rows:
    """Prepare the rows of the regression of one sweep, of the steps that no spike is near.

    Parameters
    ----------
    sweep
        A sweep with a voltage and its spikes.
    step
        Step of the regression, ms.
    before, after
        Milliseconds left out about each spike.
    """
    k = max(round(step / sweep.dt), 1)
    n = sweep.steps // k
    assert sweep.voltage is not None
    voltage = sweep.voltage[: n * k].reshape(n, k).mean(1)
    away = sweep.mask()[: n * k].reshape(n, k).all(1) & np.isfinite(voltage)
    for t in sweep.spike_times:
        away[max(int((t - before) / step), 0) : int((t + after) / step) + 1] = False
    use = away[:-1] & away[1:]
    design = np.column_stack([voltage[:-1], _mean_current_between(sweep.current, n, k), np.ones(n - 1)])[use]
    return design, (voltage[1:] - voltage[:-1])[use]


def regress_membrane(rows: Sequence[Rows], step: float = STEP) -> Membrane | None:
    """Regress the change of the voltage on voltage and current; None where that gives no membrane.

    dV = -(1 - e) (V - E_L) + (1 - e) I / g, with e = exp(-step g / C), as of Badel et al. 2008 (J. Neurophysiol. 99,
    656-666), exact for any step.

    Parameters
    ----------
    rows
        Those of each sweep, as `prepare_regression` makes them.
    step
        Step of the regression, ms.

    Examples
    --------
    >>> from scipy.signal import lfilter
    >>> current = 50.0 * np.random.default_rng(0).standard_normal(40000)
    >>> decay = np.exp(-0.1 / 20.0)
    >>> voltage = -70.0 + lfilter([0.2 * (1 - decay)], [1, -decay], current)   # 200 MOhm, 20 ms
    >>> found = regress_membrane([prepare_regression(Sweep(current, 0.1, voltage))])
    >>> round(found.resistance, -1), round(found.tau), round(found.rest)
    (200.0, 20, -70)
    """
    if not rows:
        return None
    design, change = np.concatenate([x for x, _ in rows]), np.concatenate([y for _, y in rows])
    if len(change) < ENOUGH:
        return None
    (slope, gain, offset), *_ = np.linalg.lstsq(design, change, rcond=None)
    if not (-0.95 < slope < -1e-4 and gain > 0):
        return None
    decay = -float(slope)
    g = decay / float(gain)
    tau = -step / float(np.log1p(-decay))
    return Membrane(g, tau * g, float(offset) / decay)


def _mean_current_between(current: Array, n: int, k: int) -> Float64[Array, " step"]:
    """Mean current that takes the mean voltage of a block of k samples to that of the next, (n - 1,).

    A sample of voltage is taken after the step its sample of current drives, so what lies between a sample and the one
    k later is the mean of the k currents that follow it; this is averaged over the block. Half the sum of both
    blocks' means, the obvious choice, made C 13 % too small at steps of 0.5 ms.
    """
    total = np.cumsum(current[: n * k])
    following = (total[k:] - total[:-k]) / k
    between: Float64[Array, " step"] = following.reshape(n - 1, k).mean(1)
    return between
