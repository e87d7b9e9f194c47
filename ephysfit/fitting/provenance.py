"""Who made a fit, of what, with which settings."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from pydantic import StrictStr, TypeAdapter

from ephysfit.data.recording import Recording
from ephysfit.files import expand_home, split_spec
from ephysfit.fitting.recording_identity import fingerprint
from ephysfit.fitting.stage import Problem, Stage
from ephysfit.fitting.stage_reports import Count, Known, plain_fields, to_plain


@dataclass(frozen=True)
class Provenance:
    """Who made a fit, of what, with which settings; what is not known is empty.

    Attributes
    ----------
    version, python, torch, numba : str
        Of ephysfit and of what it ran on.
    date : str
        ISO 8601, UTC.
    recording : str
        Name of the file.
    data_sha256 : str
        Hash of currents, steps and spike times (`recording_identity.fingerprint`).
    sweeps : tuple of str
        Those that trained.
    loaded : mapping
        How they came from their file: reader, options, what was odd, what was left out and why.
    seed : int, optional
    prior : str
        Of a population, in words.
    skip_ms : float, optional
        What was not counted at the beginning of long sweeps.
    stages : tuple of mapping
        ``stage`` and its settings.
    source, source_sha256 : str
        File and content of a user's own neuron.
    spikes : int
        In the training data.
    origin : str
        Where the parameters came from, if not from a fit.
    split : mapping
        The sweeps asked for on the command line: ``train``, ``test``.
    electrode : str
        Compensation of the electrode.
    other : mapping
        What a file holds that this version does not know.
    """

    version: StrictStr = ""
    python: StrictStr = ""
    torch: StrictStr = ""
    numba: StrictStr = ""
    date: StrictStr = ""
    recording: StrictStr = ""
    data_sha256: StrictStr = ""
    sweeps: tuple[StrictStr, ...] = ()
    loaded: Mapping[StrictStr, Any] = field(default_factory=dict)
    seed: Count | None = None
    prior: StrictStr = ""
    skip_ms: Known | None = None
    stages: tuple[Mapping[StrictStr, Any], ...] = ()
    source: StrictStr = ""
    source_sha256: StrictStr = ""
    spikes: Count = 0
    origin: StrictStr = ""
    split: Mapping[StrictStr, Any] = field(default_factory=dict)
    electrode: StrictStr = ""
    other: Mapping[StrictStr, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is empty is left out."""
        known = plain_fields(self)
        return {k: v for k, v in {**known, **known.pop("other")}.items() if v not in (None, "", [], {})}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """What `to_dict` wrote; entries that this version does not know are kept under `other`.

        Raises
        ------
        pydantic.ValidationError
            If an entry is of another type.
        """
        known = {f.name for f in fields(cls)} - {"other"}
        mine = {k: v for k, v in found.items() if k in known and v is not None}
        other = {k: v for k, v in found.items() if k not in known and v not in (None, "")}
        return TypeAdapter(cls).validate_python({**mine, "other": other})


def state_provenance(problem: Problem, stages: Sequence[Stage], source: str) -> Provenance:
    """The provenance of a fit that is being made; `source` is the ``FILE.py:NAME`` of a user's own neuron, or ""."""
    import ephysfit

    recording = problem.recording
    return Provenance(
        version=ephysfit.__version__,
        python=platform.python_version(),
        torch=version("torch"),
        numba=version("numba"),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        recording=Path(recording.source).name,
        data_sha256=fingerprint(recording),
        sweeps=tuple(s.name for s in recording.sweeps),
        loaded=to_plain(load_report(recording)),
        seed=problem.seed,
        prior=repr(problem.prior) if problem.prior else "",
        skip_ms=problem.skip,
        stages=tuple({"stage": type(s).__name__, **settings(s)} for s in stages),
        spikes=problem.n_spikes,
        source=source,
        source_sha256=source_hash(source),
    )


def load_report(recording: Recording) -> dict[str, Any]:
    """How the training data came from their file: reader, options, what was odd, what was left out and why."""
    said = {s.name: [*s.warnings, *s.notes] for s in recording.sweeps if s.warnings or s.notes}
    return {
        **recording.loaded,
        "spike_sources": sorted({s.spike_source for s in recording.sweeps}),
        "electrode": dict(recording.electrode),
        "warnings": list(recording.warnings),
        "sweeps": said,
        "rejected": {r.name: r.reason for r in recording.rejected},
    }


def settings(stage: Any) -> dict[str, Any]:
    """The settings of a stage as plain values; stages and other records within name their class."""
    return {f.name: _setting(getattr(stage, f.name)) for f in fields(stage)} if is_dataclass(stage) else {}


def _setting(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {"stage": type(value).__name__, **settings(value)}
    if isinstance(value, list | tuple):
        return [_setting(v) for v in value]
    return to_plain(value)


def source_hash(source: str) -> str:
    """Hash of the file that declares a user's own neuron, ``FILE.py:NAME``; "" for a neuron of the catalogue."""
    return hashlib.sha256(expand_home(split_spec(source)[0]).read_bytes()).hexdigest() if source else ""
