"""Export a fitted cell to other simulators, from its declared equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from types import MappingProxyType

from ephysfit.errors import ExportError, near
from ephysfit.files import make_printable, replacing, write_text
from ephysfit.fitting.fit_result import Fit
from ephysfit.reports.export.brian2 import write_brian2
from ephysfit.reports.export.exported import SPIKING, ExportedCell, read_fit
from ephysfit.reports.export.forms import AUTO, OWN_MARK, OWN_TARGETS, check_form, is_own
from ephysfit.reports.export.json import write_json
from ephysfit.reports.export.nest import write_nest
from ephysfit.reports.export.neuroml import write_neuroml
from ephysfit.reports.export.nir import write_nir
from ephysfit.reports.export.python import write_python
from ephysfit.reports.export.quoting import make_identifier


@dataclass(frozen=True)
class Target:
    """One export format: its name, the suffix of its main file, and a description."""

    name: str
    ending: str
    doc: str


_ALL = (
    Target("nest", ".nestml", "NESTML and a script, any neuron of one input; or parameters of a neuron of NEST's own"),
    Target("brian2", ".py", "Brian2 script: equations with units, or the very step of the fit; any neuron"),
    Target(
        "neuroml",
        ".xml",
        "LEMS component on NeuroML 2 and a file that runs it, any neuron of one input; or a cell of NeuroML's own",
    ),
    Target("nir", ".nir", "node of the neuromorphic intermediate representation; plain LIF only"),
    Target("python", ".py", "one file that needs numpy and nothing else; any neuron"),
    Target("json", ".json", "numbers with units and bounds, equations as text; any neuron"),
)
#: every format by name
TARGETS: Mapping[str, Target] = MappingProxyType({t.name: t for t in _ALL})


def export_texts(
    fit: Fit, to: str, *, spiking: str | None = None, dt: float | None = None, form: str = AUTO
) -> dict[str, str]:
    """Return the files of an export as text, by suffix, the main file first; arguments as of `export`.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> script = export_texts(Fit(cell, "demo", 0.1), "brian2")[".py"]
    >>> "dV/dt = (I - g*(-E_L + V))/C : volt (unless refractory)" in script
    True
    """
    return _write_texts(_read_for_target(fit, to, spiking, dt, form), to, form)


def _read_for_target(fit: Fit, to: str, spiking: str | None, dt: float | None, form: str) -> ExportedCell:
    if to not in TARGETS:
        raise ExportError(f"there is no export to {to!r}; {near(to, TARGETS)}")
    check_form(to, form)
    if dt is not None and not dt > 0:
        raise ExportError(f"dt = {dt} ms must be positive")
    return read_fit(fit if dt is None else replace(fit, dt=dt), spiking)


def _write_texts(cell: ExportedCell, to: str, form: str) -> dict[str, str]:
    if to == "nir":
        raise ExportError("a NIR graph is a binary file; write it with export(fit, 'nir', path)")
    if to == "brian2":
        return {".py": write_brian2(cell, form)}
    if is_own(to, form):
        return OWN_TARGETS[to].write(cell, form)
    if to in ("python", "json"):
        return {".py": write_python(cell)} if to == "python" else {".json": write_json(cell)}
    return write_nest(cell) if to == "nest" else write_neuroml(cell)


def export(
    fit: Fit, to: str, path: str | Path | None = None, *, spiking: str | None = None, dt: float | None = None,
    form: str = AUTO,
) -> tuple[Path, ...]:  # fmt: skip
    """Export a fitted cell to another simulator.

    Parameters
    ----------
    fit : Fit
        The fitted cell; a neuron without a fit is exported as ``Fit(neuron, "name", dt)``.
    to : str
        One of `TARGETS`.
    path : str or Path, optional
        The main file; companion files are written beside it. By default `make_stem` with the suffix of the format, in
        the working directory. Missing folders are created.
    spiking : {"causal", "noisy", "threshold"}, optional
        Condition for a spike: the integrated hazard reaches 1 (noise-free, the default for a stochastic neuron), the
        hazard with escape noise, or the margin reaches 0 (the only choice for a neuron without hazard).
    dt : float, optional
        Step of the export, ms; that of the fit unless given. Another step is exact for an affine neuron; for any other
        neuron it is another discretisation.
    form : str
        Of a Brian2 script "equations" (differential) or "steps" (the discrete step of the fit; see
        `brian2.write_brian2`). For NEST and NeuroML "own": one of the simulator's own neurons where the cell is one;
        or the name of one, such as "glif_psc", which may then be nearly the cell (see `own.OwnForms.find`).

    Returns
    -------
    tuple of Path
        The files written, the main file first.

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
    cell = _read_for_target(fit, to, spiking, dt, form)
    path = Path(make_stem(fit, to, form) if path is None else path)
    if to == "nir":
        main = _end_with(path, TARGETS[to].ending)
        with replacing(main) as beside:
            write_nir(cell, beside)
        return (main,)
    made = _write_texts(cell, to, form)
    first = next(iter(made))
    main = _end_with(path, first)
    written = []
    for ending, text in made.items():
        at = main if ending == first else main.with_name(main.stem + ending)
        own = f'file="{escape(make_printable(main.name), quote=True)}"'
        write_text(at, text.replace('file="{cell}"', own) if to == "neuroml" else text)
        written.append(at)
    return tuple(written)


def make_stem(fit: Fit, to: str, form: str = AUTO) -> str:
    """Make the name of an export's main file without its suffix: two exports of a cell never have one name.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> make_stem(Fit(LIF.start(), "cell 2", 0.1), "nest", "own")
    'LIF_cell_2_nest_own'
    """
    mark = f"_{to}{OWN_MARK}" if is_own(to, form) else "_brian2" if to == "brian2" else ""  # python ends in .py too
    return make_identifier(f"{fit.model}_{fit.cell}{mark}")


def _end_with(path: Path, ending: str) -> Path:
    """Return a path with the suffix appended where it is missing."""
    return path if path.suffix == ending else path.with_name(path.name + ending)


__all__ = ["SPIKING", "TARGETS", "Target", "export", "export_texts", "make_stem"]
