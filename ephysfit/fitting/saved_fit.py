"""Reading a saved fit: its form is checked before anything is made of it, and nothing that it names is ever run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from ephysfit.data.nwb_stored import read_stored_fits
from ephysfit.errors import FitError, near
from ephysfit.files import expand_home, split_spec
from ephysfit.fitting.format_1 import upgrade_fit
from ephysfit.fitting.provenance import Provenance
from ephysfit.fitting.stage import Status
from ephysfit.fitting.stage_reports import Known, Number, Reports
from ephysfit.models import catalogue, find, loadable
from ephysfit.neuron.declare import Neuron

#: of files that `Fit.save` writes: 1 had one dictionary of details, 2 typed reports, 3 members of an ensemble and the
#: bounded rate of AIGIF; a higher one is of a later version
FORMAT = 3
#: neurons whose equations changed, by the last format of the old ones: what such a fit is read as
_RENAMED = {2: {"AIGIF": "UnboundedAIGIF", "BankIGIF": "UnboundedBankIGIF", "BankGIF": "UnboundedBankGIF"}}
#: a saved fit is some ten thousand bytes, with the quadratic of its likelihood a million
LARGEST = 1 << 28


def _read_reports(found: Any) -> Reports:
    return found if isinstance(found, Reports) else Reports.from_dict(TypeAdapter(_Records).validate_python(found))


def _read_provenance(found: Any) -> Provenance:
    return found if isinstance(found, Provenance) else Provenance.from_dict(TypeAdapter(_Record).validate_python(found))


_Record = dict[StrictStr, Any]
_Records = dict[StrictStr, _Record]
_Status = Annotated[
    StrictStr, AfterValidator(lambda name: Status[name].name if name in Status.__members__ else _refuse_status(name))
]


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True)


class SavedStage(_Form):
    """One entry of the history."""

    stage: StrictStr
    status: _Status
    train: Number = float("nan")
    validation: Number = float("nan")
    seconds: Known = 0.0
    reports: Annotated[Reports, BeforeValidator(_read_reports)] = Reports()


class SavedMember(_Form):
    """One member of an ensemble."""

    model: StrictStr
    parameters: dict[StrictStr, Annotated[float, Field(strict=True, allow_inf_nan=False)]]


class SavedFit(_Form):
    """The form of a saved fit."""

    format: Annotated[int, Field(strict=True)] = FORMAT
    model: StrictStr
    cell: StrictStr
    #: a simulation of a finer or coarser step would want memory that no machine has, or mean nothing
    dt_ms: Annotated[float, Field(strict=True, ge=1e-4, le=1000.0, allow_inf_nan=False)]
    parameters: dict[StrictStr, Annotated[float, Field(strict=True, allow_inf_nan=False)]]
    warnings: tuple[StrictStr, ...]
    reports: Annotated[Reports, BeforeValidator(_read_reports)]
    history: list[SavedStage]
    provenance: Annotated[Provenance, BeforeValidator(_read_provenance)]
    members: tuple[SavedMember, ...] = ()


def _refuse_status(status: str) -> str:
    raise ValueError(f"no stage ends as {status[:40]!r}")


def parse_fit(text: str, name: str) -> SavedFit:
    """A saved fit, checked.

    Parameters
    ----------
    text
        JSON of a fit, or of a batch run's task, which holds one.
    name
        Where it came from, for errors.

    Raises
    ------
    FitError
        If it is not a saved fit: what is wrong, where, and what was found there.
    """
    if len(text) > LARGEST:
        raise FitError(
            f"{name}: {len(text) / 1e6:.0f} MB is too large for a saved fit (at most {LARGEST / 1e6:.0f} MB)"
        )
    try:
        found = json.loads(text, object_pairs_hook=_refuse_duplicate_keys, parse_constant=_refuse_constant)
    except RecursionError:
        raise FitError(f"{name} is not a fit saved by ephysfit: it is nested too deep; {_WAY_OUT}") from None
    except ValueError as error:
        raise FitError(f"{name} is not a fit saved by ephysfit ({_shorten(str(error))}); {_WAY_OUT}") from None
    return check_fit(found, name)


def check_fit(found: Any, name: str) -> SavedFit:
    """Plain values as a saved fit, whatever format they are of.

    Raises
    ------
    FitError
        If they are not a saved fit, or of a later format than this version knows.
    """
    if isinstance(found, Mapping) and isinstance(found.get("fit"), Mapping):
        found = found["fit"]
    if not isinstance(found, Mapping):
        raise FitError(f"{name} is not a fit saved by ephysfit: it holds a {type(found).__name__}; {_WAY_OUT}")
    stated = found.get("format", 1)
    if isinstance(stated, int) and not isinstance(stated, bool) and stated > FORMAT:
        raise FitError(
            f"{name}: written in format {stated} by a later ephysfit; this version reads formats up to {FORMAT}: "
            "update it"
        )
    try:
        return _follow_equations(SavedFit.model_validate(upgrade_fit(found) if stated == 1 else found), stated)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        got = "" if first["type"] == "missing" else f" (found {_shorten(repr(first['input']))})"
        raise FitError(
            f"{name} is not a fit saved by ephysfit: {where}: {_shorten(first['msg'])}{got}; {_WAY_OUT}"
        ) from None


def _follow_equations(saved: SavedFit, stated: int) -> SavedFit:
    """A fit of an earlier format with its neuron under the name that its equations have now."""
    names = {old: new for last, table in _RENAMED.items() if stated <= last for old, new in table.items()}
    if saved.provenance.source or saved.model not in names:
        return saved
    said = (
        f"fitted as {saved.model} when its rate had no ceiling, and kept as it was fitted ({names[saved.model]}); "
        "refit for the present neuron"
    )
    return saved.model_copy(update={"model": names[saved.model], "warnings": (*saved.warnings, said)})


def read_stored_fit(path: Path, label: str | None) -> str:
    """The fit that an NWB file holds, as JSON text: the last one, or that of a label.

    Raises
    ------
    FitError
        If there is none.
    """
    found = {s.label: s for s in read_stored_fits(path)}
    if not found or (label is not None and label not in found):
        have = f"; it holds {', '.join(found)}" if found else ""
        raise FitError(f"{path}: no fit {'' if label is None else repr(label) + ' '}in this NWB file{have}")
    chosen = (
        found[label] if label is not None else max(found.values(), key=lambda s: (s.facts.get("date", ""), s.label))
    )
    return str(chosen.facts["fit_json"])


_WAY_OUT = "save one with fit.save() or `ephysfit fit -o`"


def _refuse_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        twice = next(k for k, _ in pairs if sum(k == other for other, _ in pairs) > 1)
        raise ValueError(f"{_shorten(repr(twice))} occurs in it twice")
    return out


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _shorten(text: str, most: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def find_neuron_class(saved: SavedFit, name: str, trust: bool) -> type[Neuron]:
    """The class of a saved fit's neuron.

    A name of the catalogue is looked up. A neuron of a user's own is in a file, and to read that file is to run it:
    that needs the caller's consent (`trust`), and the file's hash must be that of the fit.

    Raises
    ------
    FitError
        If the neuron is a user's own and may not be run, is no longer there, or is another one than it was.
    """
    source, model = saved.provenance.source, saved.model
    shown = _shorten(model)
    if not source:
        known = {n.lower(): kind for n, kind in loadable().items()}
        if model.lower() not in known:
            raise FitError(
                f"{name}: its neuron {shown!r} is not in the catalogue. If it is your own, give its class: "
                f"Fit.load(path, neuron={shown if shown.isidentifier() else 'Mine'}), on the shell --model "
                f"FILE.py:NAME. Otherwise: {near(shown, catalogue())}"
            )
        return known[model.lower()]
    file = expand_home(split_spec(source)[0])
    ways = f"--model {source} (in Python: neuron=) if it is yours"
    if not trust:
        raise FitError(
            f"{name}: its neuron {shown!r} is declared in the file {source!r}, and a file that a fit names is "
            f"never run by itself; give {ways}, or --trust (trust=True), which runs it if it is unchanged since the fit"
        )
    if not file.is_file():
        raise FitError(f"{name}: its neuron's file {str(file)!r} is not there; give {ways}")
    if not saved.provenance.source_sha256:
        raise FitError(
            f"{name}: it does not say what its neuron's file held, so that it cannot be trusted; give {ways}"
        )
    if hashlib.sha256(file.read_bytes()).hexdigest() != saved.provenance.source_sha256:
        raise FitError(f"{name}: {str(file)!r} is not the file it was when the cell was fitted; give {ways}")
    return find(source)
