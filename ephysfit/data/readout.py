"""Readouts: the kinds of run of a model that yield a spike train, with the names used in files, tables and pages."""

from __future__ import annotations

from enum import StrEnum


class Readout(StrEnum):
    """A readout of a model; a member is the text used in files.

    Examples
    --------
    >>> Readout("causal run") is Readout.CAUSAL, f"{Readout.NOISY}"
    (True, 'noisy runs')
    """

    THRESHOLD = "threshold run"  #: a spike where the margin reaches 0; escape noise left out
    CAUSAL = "causal run"  #: noise-free with a soft threshold: a spike when the hazard integrated since the last is 1
    VOTE = "causal vote"  #: a spike as soon as enough of the noisy runs have just had one; only the past is read
    CONSENSUS = "consensus"  #: the train with the highest expected coincidence with the noisy runs; it looks ahead
    NOISY = "noisy runs"  #: with escape noise
