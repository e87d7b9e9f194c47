"""Smooth bounds for equations that would run away: nothing overflows when a recorded spike comes late.

A neuron with an upstroke diverges in finite time. On its own it spikes first; replayed with recorded spikes, or with
escape noise, it may sit above its cut-off for long, so flow and margin must stay finite there.
"""

from __future__ import annotations

from math import exp, log1p
from typing import Any

from ephysfit.neuron.functions import softplus

#: how many widths above its zero a bounded margin saturates: the hazard never exceeds about e^5 per ms
CEILING = 5.0
_AT_ZERO = log1p(exp(CEILING))


def capped(v: Any, top: Any, width: Any) -> Any:
    """`v` below `top`, `top` above it, rounded over `width`; never above `top`.

    Examples
    --------
    >>> round(float(capped(-50.0, 0.0, 1.0)), 6), round(float(capped(1e6, 0.0, 1.0)), 6)
    (-50.0, 0.0)
    """
    return top - width * softplus((top - v) / width)


def excess(v: Any, top: Any, width: Any) -> Any:
    """What `capped` cuts off: 0 below `top`, ``v - top`` above it.

    Examples
    --------
    >>> round(float(excess(30.0, 0.0, 1.0)), 9)
    30.0
    """
    return width * softplus((v - top) / width)


def bounded_margin(u: Any, width: Any) -> Any:
    """A margin of the same sign as `u`, equal to it far below 0 and at most about ``5 width``.

    Examples
    --------
    >>> float(bounded_margin(0.0, 2.0)), round(float(bounded_margin(1e9, 2.0)), 3)
    (0.0, 10.013)
    """
    return width * (_AT_ZERO - softplus(CEILING - u / width))
