"""The way out: a fitted cell as text for other simulators, made from its declared equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from types import MappingProxyType

from ephysfit.errors import ExportError, near
from ephysfit.files import make_printable, replacing, write_text
from ephysfit.fitting.fit_result import Fit
from ephysfit.reports.export.brian2 import brian2
from ephysfit.reports.export.exported import SPIKING, Reading, read
from ephysfit.reports.export.json import json
from ephysfit.reports.export.nest import nest
from ephysfit.reports.export.neuroml import neuroml
from ephysfit.reports.export.nir import nir
from ephysfit.reports.export.python import python
from ephysfit.reports.export.quoting import identifier


@dataclass(frozen=True)
class Target:
    """One format: its name, the ending of its main file, and what comes out."""

    name: str
    ending: str
    doc: str


_ALL = (
    Target("nest", ".nestml", "NESTML model and a script that builds and runs it; any neuron of one input"),
    Target("brian2", ".py", "Brian2 script: equations with units, or the very step of the fit; any neuron"),
    Target("neuroml", ".xml", "LEMS component on NeuroML 2 and a file that runs it; any neuron of one input"),
    Target("nir", ".nir", "node of the neuromorphic intermediate representation; plain LIF only"),
    Target("python", ".py", "one file that needs numpy and nothing else; any neuron"),
    Target("json", ".json", "numbers with units and bounds, equations as text; any neuron"),
)
#: every format by name
TARGETS: Mapping[str, Target] = MappingProxyType({t.name: t for t in _ALL})


def texts(
    fit: Fit, to: str, *, spiking: str | None = None, dt: float | None = None, form: str = "auto"
) -> dict[str, str]:
    """The files of an export as text, by ending, the main one first; arguments as of `export`.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> script = texts(Fit(cell, "demo", 0.1), "brian2")[".py"]
    >>> "dV/dt = (I - g*(-E_L + V))/C : volt (unless refractory)" in script
    True
    """
    return _texts(_reading(fit, to, spiking, dt), to, form)


def _reading(fit: Fit, to: str, spiking: str | None, dt: float | None) -> Reading:
    if to not in TARGETS:
        raise ExportError(f"there is no export to {to!r}; {near(to, TARGETS)}")
    if dt is not None and not dt > 0:
        raise ExportError(f"dt = {dt} ms must be positive")
    return read(fit if dt is None else replace(fit, dt=dt), spiking)


def _texts(reading: Reading, to: str, form: str) -> dict[str, str]:
    if to == "nir":
        raise ExportError("a NIR graph is a binary file; write it with export(fit, 'nir', path)")
    if to == "brian2":
        return {".py": brian2(reading, form)}
    if form != "auto":
        raise ExportError(f"form {form!r} is for brian2 only; {to} has one form")
    if to in ("python", "json"):
        return {".py": python(reading)} if to == "python" else {".json": json(reading)}
    return nest(reading) if to == "nest" else neuroml(reading)


def export(
    fit: Fit, to: str, path: str | Path | None = None, *, spiking: str | None = None, dt: float | None = None,
    form: str = "auto",
) -> tuple[Path, ...]:  # fmt: skip
    """Write a fitted cell for another simulator.

    Parameters
    ----------
    fit : Fit
        A bare neuron goes as ``Fit(neuron, "name", dt)``.
    to : str
        One of `TARGETS`.
    path : str or Path, optional
        Of the main file; companions lie beside it under the same name. ``MODEL_CELL`` and the format's ending in the
        working directory unless given. Folders are made.
    spiking : {"causal", "noisy", "threshold"}, optional
        What makes a spike: the hazard integrated to 1 (noise-free, the default of a stochastic neuron), the hazard
        with escape noise, or the margin reaching 0 (the only way of a neuron without hazard).
    dt : float, optional
        Step in ms that the export is made for; that of the fit unless given. Exact for an affine neuron, another
        discretisation for any other.
    form : {"auto", "equations", "steps"}
        Of a Brian2 script: differential equations, or the very step of the fit (see `brian2.brian2`).

    Returns
    -------
    tuple of Path
        What was written, the main file first.

    Raises
    ------
    ExportError
        If the target cannot express the neuron; the message says why, and which target can.

    Examples
    --------
    >>> import tempfile
    >>> from ephysfit.models.lif import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> [p.name for p in export(Fit(cell, "demo", 0.1), "nest", tempfile.mkdtemp() + "/cell.nestml")]
    ['cell.nestml', 'cell_nest.py']
    """
    reading = _reading(fit, to, spiking, dt)
    main = _main(fit, to, path)
    if to == "nir":
        with replacing(main) as beside:
            nir(reading, beside)
        return (main,)
    made = _texts(reading, to, form)
    written = []
    for ending, text in made.items():
        at = main if ending == TARGETS[to].ending else main.with_name(main.stem + ending)
        own = f'file="{escape(make_printable(main.name), quote=True)}"'
        write_text(at, text.replace('file="{cell}"', own) if to == "neuroml" else text)
        written.append(at)
    return tuple(written)


def _main(fit: Fit, to: str, path: str | Path | None) -> Path:
    """Where the main file goes: the path with the format's ending, whatever ending it had."""
    if path is None:
        return Path(identifier(f"{fit.model}_{fit.cell}") + TARGETS[to].ending)
    path = Path(path)
    return path if path.suffix == TARGETS[to].ending else path.with_name(path.name + TARGETS[to].ending)


__all__ = ["SPIKING", "TARGETS", "Target", "export", "texts"]
