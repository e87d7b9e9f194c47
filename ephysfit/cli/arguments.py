"""Arguments that several verbs share, and how their text is checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import ephysfit as ef  # its public names load what they need when they are used
from ephysfit.cli.commands import OUTPUT
from ephysfit.data.remote import is_remote
from ephysfit.errors import near, nearest
from ephysfit.files import expand_home, split_spec

#: panels of the help that several verbs share
DATA, MODEL, FIT, NUMERICS = "Data", "Model", "Fit", "Numerics"
HOW_SPIKES = ("auto", "detect", "given")


def existing(path: Path) -> Path:
    """The path if there is such a file; else a usage error that names near files of its folder."""
    if path.is_file():
        return path
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a folder; give the files of one cell")
    folder = path.parent
    if not folder.is_dir():
        raise typer.BadParameter(f"{path}: there is no folder {folder}")
    close = nearest(path.name, [p.name for p in folder.iterdir()], 2)
    meant = f"; did you mean {', '.join(str(folder / name) for name in close)}?" if close else ""
    raise typer.BadParameter(f"{path}: no such file{meant}")


def source(text: str) -> Path | str:
    """A path, or the address of a file that stays where it is."""
    return text if is_remote(text) else Path(text)


def existing_or_none(path: Path | None) -> Path | None:
    """A path that need not be given, checked if it is."""
    return None if path is None else existing(path)


def all_existing(paths: list[Path]) -> list[Path]:
    """Every path checked; addresses are left to whoever opens them."""
    return [existing(path) if isinstance(path, Path) else path for path in paths]


def spike_source(text: str) -> str:
    """One of the ways to come by spike times."""
    if text not in HOW_SPIKES:
        raise typer.BadParameter(f"{text!r}; {near(text, HOW_SPIKES)}")
    return text


Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", callback=all_existing, parser=source, show_default=False,
                   help="Recording of one cell: NWB (a path, https://, s3:// or dandi://), ABF, CSV, NPZ, anything neo "
                        "reads. Several files are joined."),
]  # fmt: skip
FitFile = Annotated[
    Path,
    typer.Argument(metavar="FIT", callback=existing, show_default=False, help="A fit.json that `ephysfit fit` wrote."),
]


def _model_names() -> list[str]:
    return ["auto", *ef.models.catalogue()]


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        autocompletion=_model_names,
        rich_help_panel=MODEL,
        help="auto, a name of `ephysfit models`, or my_file.py:MyNeuron.",
    ),
]
NeuronOption = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="FILE.py:NAME", show_default=False, rich_help_panel=MODEL,
                 help="The file of the fit's own neuron: a file that a fit names is not run by itself."),
]  # fmt: skip
TrustOption = Annotated[
    bool,
    typer.Option("--trust", rich_help_panel=MODEL,
                 help="Run the file in which the fit says its neuron is declared, if it is unchanged since."),
]  # fmt: skip
TrainOption = Annotated[
    str | None,
    typer.Option("--train", metavar="SWEEPS", show_default=False, rich_help_panel=DATA,
                 help="Sweeps to fit on: names, positions (0-3), patterns (*noise*) or files, with commas."),
]  # fmt: skip
TestOption = Annotated[
    str | None,
    typer.Option("--test", metavar="SWEEPS", show_default=False, rich_help_panel=DATA,
                 help="Sweeps to keep for testing, as for --train; or a number below 1: that last part of each sweep."),
]  # fmt: skip
SpikesOption = Annotated[
    str,
    typer.Option("--spikes", metavar="HOW", callback=spike_source, rich_help_panel=DATA,
                 help="auto: as in the file, else detected; detect; given: only as in the file."),
]  # fmt: skip
SweepsOption = Annotated[
    str | None,
    typer.Option("--sweeps", metavar="SWEEPS", show_default=False, rich_help_panel=DATA,
                 help="Read only these: names or positions, with commas."),
]  # fmt: skip
ReaderOption = Annotated[
    list[str] | None,
    typer.Option("--option", "-O", metavar="NAME=VALUE", show_default=False, rich_help_panel=DATA,
                 help="Of loading or of the file's reader: kind=noise, junction_potential=14, spikes.height=15, "
                      "electrode=icephys_1, columns.current=I, units.current=nA, timeout=60, allow_links=true ..."),
]  # fmt: skip
JsonOption = Annotated[
    bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print JSON to stdout instead of a table.")
]
RunsOption = Annotated[
    int,
    typer.Option("--runs", min=1, max=10_000, metavar="N", rich_help_panel=NUMERICS,
                 help="Noisy runs of a stochastic neuron."),
]  # fmt: skip
SeedOption = Annotated[int, typer.Option("--seed", min=0, metavar="N", rich_help_panel=NUMERICS, help="Random seed.")]
StepOption = Annotated[
    float | None,
    typer.Option("--dt", min=1e-4, max=10.0, metavar="MS", show_default=False, rich_help_panel=NUMERICS,
                 help="Step in ms."),
]  # fmt: skip
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="Folder of a run.")]


def reader_options(texts: Sequence[str] | None) -> dict[str, Any]:
    """``name=value`` texts as keyword arguments; a dot in the name makes a mapping.

    Examples
    --------
    >>> reader_options(["dt=0.1", "columns.current=I", "columns.voltage=2"])
    {'dt': 0.1, 'columns': {'current': 'I', 'voltage': 2}}
    """
    out: dict[str, Any] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{text!r}: give NAME=VALUE, such as electrode=icephys_1", param_hint="--option")
        outer, _, inner = name.partition(".")
        if inner:
            out.setdefault(outer, {})[inner] = _value(value)
        else:
            out[outer] = _value(value)
    return out


def _value(text: str) -> Any:
    """A number, true or false where the text is one; else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def load_options(spikes: str, sweeps: str | None, options: Sequence[str] | None) -> dict[str, Any]:
    """The options of ``load``."""
    chosen = reader_options(options)
    if sweeps:
        chosen["sweeps"] = [int(s) if s.isdecimal() else s for s in sweeps.split(",")]
    return {"spikes": spikes, **chosen}


def open_recording(
    files: Sequence[Path], spikes: str, sweeps: str | None, options: Sequence[str] | None
) -> ef.Recording:
    """The files of one cell as a recording."""
    return ef.load(list(files), **load_options(spikes, sweeps, options))


def find_model(name: str) -> str:
    """A model's name, checked: "auto", a name of the catalogue, or ``file.py:Name`` in full."""
    if name.lower() == "auto":
        return "auto"
    if ".py" not in name:
        names = {known.lower(): known for known in ef.models.catalogue()}
        if name.lower() not in names:
            raise typer.BadParameter(
                f"no neuron {name!r}; {near(name, ['auto', *names.values()])}", param_hint="--model"
            )
        return names[name.lower()]
    return f"{split_spec(name)[0]}:{user_neuron(name).__name__}"


def user_neuron(spec: str) -> type[ef.Neuron]:
    """The neuron of a user's file; a usage error where the file is missing."""
    path = Path(split_spec(spec)[0])
    try:
        existing(expand_home(path))
    except typer.BadParameter as error:
        error.param_hint = "--model"
        raise
    return ef.models.find(spec)


def open_fit(path: Path, neuron: str | None = None, trust: bool = False) -> ef.Fit:
    """A saved fit, its neuron from the catalogue or from the file given."""
    return ef.Fit.load(path, user_neuron(neuron) if neuron else None, trust=trust)
