"""Units. Internally everything is in ms, mV, pA, pF and nS, a coherent set: pF/nS = ms and nS·mV = pA, without factors.

The conversions here are used only by readers, reports and the command line.
"""

from __future__ import annotations

from ephysfit.errors import UnitsError, near

#: powers of (ms, mV, pA) of every unit a declaration may use
DIMENSIONS: dict[str, tuple[int, int, int]] = {
    "1": (0, 0, 0),
    "ms": (1, 0, 0),
    "mV": (0, 1, 0),
    "pA": (0, 0, 1),
    "pF": (1, -1, 1),
    "nS": (0, -1, 1),
    "GOhm": (0, 1, -1),
    "1/ms": (-1, 0, 0),
    "1/mV": (0, -1, 0),
    "1/pA": (0, 0, -1),
    "mV/ms": (-1, 1, 0),
    "pA/ms": (-1, 0, 1),
    "1/pF": (-1, 1, -1),
    "nS/ms": (-1, -1, 1),
    "ms*mV": (1, 1, 0),
    "pA/mV**2": (0, -2, 1),
}

#: factors from the units of files into mV, pA and ms; keys as files spell them, with case because mV is not MV
TO_MV = {
    "V": 1e3, "volt": 1e3, "volts": 1e3, "mV": 1.0, "millivolt": 1.0, "millivolts": 1.0, "uV": 1e-3,
    "µV": 1e-3, "μV": 1e-3,
}  # fmt: skip
TO_PA = {
    "A": 1e12, "ampere": 1e12, "amperes": 1e12, "amps": 1e12, "mA": 1e9, "uA": 1e6, "µA": 1e6, "μA": 1e6,
    "nA": 1e3, "nanoamps": 1e3, "pA": 1.0, "picoamps": 1.0, "fA": 1e-3,
}  # fmt: skip
TO_MS = {
    "s": 1e3, "sec": 1e3, "secs": 1e3, "seconds": 1e3, "second": 1e3, "ms": 1.0, "msec": 1.0, "milliseconds": 1.0,
    "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "usec": 1e-3,
}  # fmt: skip


def find_dimension(unit: str) -> tuple[int, int, int]:
    """Find the powers of (ms, mV, pA) of a unit that declarations may use.

    Raises
    ------
    UnitsError
        If declarations may not use the unit.

    Examples
    --------
    >>> find_dimension("nS"), name_dimension((0, -1, 1))
    ((0, -1, 1), 'nS')
    """
    try:
        return DIMENSIONS[unit]
    except KeyError:
        raise UnitsError(f"unit {unit!r} is not one that declarations use; {near(unit, DIMENSIONS)}") from None


def name_dimension(powers: tuple[int, int, int]) -> str:
    """Name a dimension by its unit if it has one, and else by its powers."""
    for unit, of in DIMENSIONS.items():
        if of == powers:
            return unit
    return " ".join(f"{u}^{p}" for u, p in zip(("ms", "mV", "pA"), powers, strict=True) if p)
