"""Kinds of stimuli, by name through a table that a lab can extend, and else by the waveform."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from ephysfit.arrays import Trace
from ephysfit.errors import RecordingError
from ephysfit.files import expand_home

#: environment variable: the table of a lab, in place of the usual one
VARIABLE = "EPHYSFIT_STIMULI"
USUAL = Path("~/.config/ephysfit/stimulus_kinds.toml")
#: stretches in which a waveform is looked at
BINS = 200
#: a stretch is flat when it varies by less than this part of the range of the whole
FLAT = 0.08
#: a recorded current is noisy by as much with no stimulus at all, pA
QUIET = 2.5
#: a stretch moves when its level is off that of the last by this part of the range
SLOPE = 0.002
#: a step moves in few stretches, a ramp in many, by equal amounts: up to this part of the range
FEW_MOVES, BENT = 0.12, 0.02


@dataclass(frozen=True)
class Kind:
    """A kind of stimulus and the names by which it is known.

    Attributes
    ----------
    name, family : str
        The kind, and the broader kind it belongs to.
    codes, words : tuple of str
        Beginnings of stimulus names, and words anywhere in them.
    """

    name: str
    family: str = ""
    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def match_length(self, stimulus: str) -> int:
        """Length of the longest code or word that a stimulus name contains; 0 if it contains none."""
        low = stimulus.lower()
        found = [c for c in self.codes if low.startswith(c.lower())] + [w for w in self.words if w.lower() in low]
        return max(map(len, found), default=0)


def read_kinds() -> tuple[Kind, ...]:
    """Read all kinds, those of the lab's own table first."""
    named = os.environ.get(VARIABLE)
    own = expand_home(named or USUAL)
    if named and not own.is_file():
        raise RecordingError(f"{VARIABLE}={named}: no such file; it names a TOML table of stimulus kinds")
    return (*(_read_table(own, own.stat().st_mtime_ns) if own.is_file() else ()), *_read_built_in())


def find_kind_by_name(stimulus: str) -> str:
    """Find the kind of a stimulus by its name; empty if the name gives none.

    Examples
    --------
    >>> find_kind_by_name("C1LSCOARSE150112_DA_0"), find_kind_by_name("Noise 1"), find_kind_by_name("protocol 7")
    ('long_square', 'noise', '')
    """
    if not stimulus:
        return ""
    kinds = read_kinds()
    best = max(kinds, key=lambda kind: kind.match_length(stimulus))
    return best.name if best.match_length(stimulus) else ""


def is_of_kind(kind: str, wanted: str) -> bool:
    """Whether a kind is the one wanted, or belongs to its family."""
    if kind == wanted:
        return True
    return any(k.family == wanted for k in read_kinds() if k.name == kind)


def find_kind_by_waveform(current: Trace) -> str:
    """Find the kind of a current by its waveform: ``"none"``, ``"step"``, ``"ramp"`` or ``"noise"``.

    Parameters
    ----------
    current
        pA, shape (time,).

    Examples
    --------
    >>> t = np.arange(5000)
    >>> noise = np.random.default_rng(0).normal(0, 50, 5000)
    >>> [find_kind_by_waveform(current) for current in (0.0 * t, 50.0 * (t > 1000), 0.1 * t, noise)]
    ['none', 'step', 'ramp', 'noise']
    """
    n = len(current) // BINS
    if not n or not np.ptp(current):
        return "none" if not np.ptp(current) else "step"
    bins = current[: n * BINS].reshape(BINS, n)
    levels, inside = np.mean(bins, axis=1), np.std(bins, axis=1)
    reach = float(np.ptp(levels))
    if not reach:
        return "step"  # pulses shorter than a stretch
    if np.median(inside) > FLAT * reach:
        return "noise" if np.std(current) > QUIET else "none"
    trend = np.diff(levels)
    error = float(np.median(np.std(np.diff(bins, axis=1), axis=1))) / np.sqrt(n)  # of a level
    if reach < 5 * error:
        return "none"
    if np.mean(np.abs(trend) > max(SLOPE * reach, 6 * error)) < FEW_MOVES:
        return "step"
    return "ramp" if np.std(np.diff(trend)) < BENT * reach else "noise"


@lru_cache(maxsize=1)
def _read_built_in() -> tuple[Kind, ...]:
    text = files("ephysfit.data").joinpath("stimulus_kinds.toml").read_text(encoding="utf-8")
    return _parse_kinds(tomllib.loads(text), "the built-in table")


@lru_cache(maxsize=8)
def _read_table(path: Path, changed: int) -> tuple[Kind, ...]:
    """Read a lab's table, again if the file has changed."""
    try:
        return _parse_kinds(tomllib.loads(path.read_text(encoding="utf-8")), path.name)
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path}: not a TOML table of stimulus kinds ({error})") from None


def _parse_kinds(tables: Mapping[str, object], source: str) -> tuple[Kind, ...]:
    out = []
    for name, entry in tables.items():
        known = {"family", "codes", "words"}
        if not isinstance(entry, Mapping) or set(entry) - known:
            raise RecordingError(f"{source}: [{name}] holds {entry!r}; known are {', '.join(sorted(known))}")
        lists = [entry.get(key, ()) for key in ("codes", "words")]
        if any(isinstance(names, str) or not all(isinstance(w, str) and w for w in names) for names in lists):
            raise RecordingError(f"{source}: [{name}]: codes and words are lists of texts")
        out.append(Kind(name, str(entry.get("family", "")), *(tuple(names) for names in lists)))
    return tuple(out)
