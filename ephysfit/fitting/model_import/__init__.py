"""Models of other programs as fits of ours, so that they run, are scored, explored and fitted again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ephysfit import __version__
from ephysfit.errors import NeuronError
from ephysfit.files import expand_home
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.model_import.allen import is_allen, read_allen
from ephysfit.fitting.model_import.converted import Converted
from ephysfit.fitting.model_import.gif_toolbox import is_gif_toolbox, read_gif_toolbox
from ephysfit.fitting.model_import.given import make_plain
from ephysfit.fitting.model_import.nest_neurons import is_nest, read_nest
from ephysfit.fitting.provenance import Provenance
from ephysfit.fitting.stage_reports import CausalRun, Reports
from ephysfit.neuron.bounds import impossible, outside

#: the largest file of parameters that is read, bytes: a configuration has a few thousand
LARGEST = 1 << 24
_KNOWN = (
    "a neuron_config.json of the Allen Institute's GLIF neurons, a parameter dictionary of NEST, or the attributes of "
    "a GIF of the GIF toolbox"
)


def import_model(
    source: str | Path | Mapping[str, Any] | Any, *, model: str | None = None, dt: float | None = None,
    cell: str | None = None,
) -> Fit:  # fmt: skip
    """Import a model of another program as a fit: the Allen Institute's GLIF neurons, NEST's neurons, the GIF toolbox.

    What is imported runs, is scored, shown by the explorer and exported like any fit. Its `warnings` say what was
    converted, left out or assumed; a value that no neuron here has is refused by its name.

    Parameters
    ----------
    source : path, mapping or object
        A JSON file, or its values: a ``neuron_config.json`` of the Allen Institute (levels 1 to 5, SI units),
        parameters of NEST as ``neuron.get()`` returns them, or attributes of a ``GIF`` of the GIF toolbox (the object
        itself, too).
    model : str, optional
        Model of NEST, where the values do not name it: one of ``ephysfit.fitting.model_import.nest_neurons.MODELS``.
    dt : float, optional
        Step of the simulator, ms; that of the file, else NEST's (0.1 ms; 0.01 ms for aeif neurons with an upstroke).
    cell : str, optional
        Name of the cell; that of the file unless given.

    Returns
    -------
    Fit
        Without history. The neuron is one of the catalogue.

    Raises
    ------
    NeuronError
        If it is none of these, or holds a value that our neurons do not have.

    Examples
    --------
    >>> fit = import_model({"model": "iaf_psc_exp", "C_m": 100.0, "tau_m": 20.0, "V_th": -50.0}, cell="demo")
    >>> fit.model, fit.neuron.g, fit.dt
    ('LIF', 5.0, 0.1)
    >>> print(fit.warnings[0])
    not given, so the default of iaf_psc_exp of NEST: E_L = -70, V_reset = -70, t_ref = 2, delta = 0
    """
    values, name, digest = _read_source(source)
    converted = _convert(_find_single(values), model, dt, name or "the mapping")
    wrong = impossible(converted.neuron)
    if wrong:
        raise NeuronError(f"{converted.origin}: {'; '.join(wrong)}")
    beyond = tuple(f"{said}; it runs, but a fit from here refuses it" for said in outside(converted.neuron))
    made = Provenance(
        version=__version__,
        origin=f"{converted.origin}{f', {name}' if name else ''}; imported, not fitted here",
        loaded={"origin": converted.origin, "sha256": digest, "converted": list(converted.notes)},
    )
    readout = () if converted.stochastic else (CausalRun(None),)
    return Fit(
        converted.neuron, cell or Path(name).stem or "imported", converted.dt, warnings=(*converted.notes, *beyond),
        provenance=made, reports=Reports(*readout),
    )  # fmt: skip


def _convert(values: Mapping[str, Any], model: str | None, dt: float | None, name: str) -> Converted:
    if dt is not None and not dt > 0:
        raise NeuronError(f"dt = {dt} ms must be positive")
    if model is not None or (is_nest(values) and not is_gif_toolbox(values)):
        return read_nest(values, model, dt)
    if is_allen(values):
        return read_allen(values if dt is None else {**values, "dt": dt / 1e3})
    if is_gif_toolbox(values):
        return read_gif_toolbox(values if dt is None else {**values, "dt": dt})
    raise NeuronError(f"{name} is no model that ephysfit reads: it holds {_list_names(values)}. Read are {_KNOWN}")


def _list_names(values: Mapping[str, Any]) -> str:
    names = [str(name) for name in values]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def _read_source(source: Any) -> tuple[Mapping[str, Any], str, str]:
    """The values, the name of their file and its hash."""
    if isinstance(source, str | Path):
        path = expand_home(source)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise NeuronError(f"{path}: {error.strerror or error}; give a JSON file with the parameters") from error
        return _parse(content, path), path.name, hashlib.sha256(content).hexdigest()
    if isinstance(source, Mapping):
        return source, "", ""
    if hasattr(source, "__dict__"):
        return vars(source), "", ""
    raise NeuronError(
        f"{type(source).__name__} {source!r:.60} is no model: give {_KNOWN}, as a JSON file or as a mapping"
    )


def _parse(content: bytes, path: Path) -> Mapping[str, Any]:
    if content[:1] in (b"\x80", b"(") or path.suffix in (".pkl", ".pickle", ".pck"):
        raise NeuronError(
            f"{path}: a pickle, and to read one is to run what it holds; load it with the program that wrote it and "
            "give the object, ephysfit.import_model(model), or save its attributes as JSON"
        )
    try:
        found = json.loads(content) if len(content) <= LARGEST else None
    except (ValueError, RecursionError) as error:
        raise NeuronError(f"{path} is not JSON ({str(error)[:80]}); give {_KNOWN}, as JSON") from None
    if not isinstance(found, dict):
        raise NeuronError(f"{path} holds no values by name; give {_KNOWN}, as a JSON object")
    return found


def _find_single(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The model in a mapping of models by name or number, as AllenSDK's GlifApi returns them."""
    inner = [make_plain(v) for v in values.values()]
    if not inner or not all(isinstance(v, Mapping) for v in inner):
        return values
    if len(inner) > 1:
        raise NeuronError(f"{len(inner)} models ({_list_names(values)}): give one of them, import_model(models[...])")
    return inner[0]  # type: ignore[no-any-return]


__all__ = ["import_model"]
