"""The variants of a kernel."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """What a kernel computes, in which precision and width; each variant is compiled on its own, when first used.

    Attributes
    ----------
    element : str
        ``"float32"`` or ``"float64"``.
    lanes : int
        Rows in a tile; 1 is plain numbers.
    shared : bool
        The rows of a tile have one current (and one list of marked events).
    spikes : str
        ``"own"``, ``"forced"`` (recorded events replayed) or ``"drawn"`` (integrated hazard reaches a threshold).
    trace : bool
        Carry the filtered difference to the marked events (van Rossum).
    escape : bool
        Forward: add up the log-likelihood of the forced spikes.
    keep : bool
        Forward: write checkpoints.
    save : tuple of int
        Forward: states to write out at every step; -1 is the margin.
    source : str
        Reverse: ``"spikes"`` (dense dL/ds), ``"margins"`` (dense dL/du), ``"trace"`` or ``"escape"``.
    window, detach :
        Reverse: the surrogate's shape; whether the reset stays out of the graph.
    drive : bool
        Reverse: also the derivative with respect to the current.
    resume : bool
        Begin from given states (forward) or derivatives (reverse): rows are stretches of one record.
    moving : tuple of int
        Information: the coefficients it is of.
    voltage : bool
        Likelihood and information: that of the recorded voltage is added to that of the spikes.
    """

    element: str = "float64"
    lanes: int = 1
    shared: bool = True
    spikes: str = "own"
    trace: bool = False
    escape: bool = False
    keep: bool = False
    save: tuple[int, ...] = ()
    source: str = "spikes"
    window: str = "triangle"
    detach: bool = False
    drive: bool = False
    resume: bool = False
    moving: tuple[int, ...] = ()
    voltage: bool = False
