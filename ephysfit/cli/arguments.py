"""Arguments that several commands share, and checks of them before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import ephysfit as ef  # its public names load what they need when they are used
from ephysfit.cli.commands import OUTPUT
from ephysfit.data.remote import is_remote
from ephysfit.errors import near, nearest
from ephysfit.files import expand_home, split_spec
from ephysfit.fitting.effort import EFFORTS
from ephysfit.fitting.objective import OBJECTIVES

#: panels of the help that several commands share
DATA, MODEL, FIT, NUMERICS = "Data", "Model", "Fit", "Numerics"
HOW_SPIKES = ("auto", "detect", "given")


def check_file(path: Path) -> Path:
    """Return the path of an existing file; otherwise raise a usage error that suggests similar file names."""
    if path.is_file():
        return path
    if (path / "fit.json").is_file():  # a further fit of a comparison
        return path / "fit.json"
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a folder; give the files of one cell")
    folder = path.parent
    if not folder.is_dir():
        raise typer.BadParameter(f"{path}: there is no folder {folder}")
    close = nearest(path.name, [p.name for p in folder.iterdir()], 2)
    meant = f"; did you mean {', '.join(str(folder / name) for name in close)}?" if close else ""
    raise typer.BadParameter(f"{path}: no such file{meant}")


def check_fit_file(path: Path) -> Path:
    """Return the path of a saved fit; of a folder that `ephysfit fit` wrote, the fit.json in it."""
    if not path.is_dir():
        return check_file(path)
    inside = path / "fit.json"
    if inside.is_file():
        return inside
    raise typer.BadParameter(f"{path}: a folder without fit.json; give a fit, or the folder that `ephysfit fit` wrote")


def parse_source(text: str) -> Path | str:
    """Return a path, or the address of a remote file as it is."""
    return text if is_remote(text) else Path(text)


def check_optional_file(path: Path | None) -> Path | None:
    """Check an optional path."""
    return None if path is None else check_file(path)


def check_files(paths: list[Path]) -> list[Path]:
    """Check all paths; addresses of remote files are checked when they are opened."""
    return [check_file(path) if isinstance(path, Path) else path for path in paths]


def check_spike_source(text: str) -> str:
    """Check the source of the spike times."""
    if text not in HOW_SPIKES:
        raise typer.BadParameter(f"{text!r}; {near(text, HOW_SPIKES)}")
    return text


Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", callback=check_files, parser=parse_source, show_default=False,
                   help="Recording of one cell: NWB (a path, https://, s3:// or dandi://), ABF, CSV, NPZ, anything neo "
                        "reads. Several files are joined."),
]  # fmt: skip
FitFile = Annotated[
    Path,
    typer.Argument(
        metavar="FIT",
        callback=check_fit_file,
        show_default=False,
        help="A fit.json that `ephysfit fit` wrote, or its folder.",
    ),
]


def _list_model_names() -> list[str]:
    return ["auto", *ef.models.catalogue()]


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        autocompletion=_list_model_names,
        rich_help_panel=MODEL,
        help="auto, a name of `ephysfit models`, or my_file.py:MyNeuron.",
    ),
]
NeuronOption = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="FILE.py:NAME", show_default=False, rich_help_panel=MODEL,
                 help="Python file of the fit's neuron: a file named in a fit is never executed unless you give it."),
]  # fmt: skip
TrustOption = Annotated[
    bool,
    typer.Option("--trust", rich_help_panel=MODEL,
                 help="Execute the Python file named in the fit, if it has not changed since the fit."),
]  # fmt: skip
TrainOption = Annotated[
    str | None,
    typer.Option("--train", metavar="SWEEPS", show_default=False, rich_help_panel=DATA,
                 help="Sweeps to fit on: names, positions (0-3), patterns (*noise*) or files, comma-separated."),
]  # fmt: skip
TestOption = Annotated[
    str | None,
    typer.Option("--test", metavar="SWEEPS", show_default=False, rich_help_panel=DATA,
                 help="Sweeps to test on, as for --train; or a number below 1: that last fraction of each sweep."),
]  # fmt: skip
SpikesOption = Annotated[
    str,
    typer.Option("--spikes", metavar="HOW", callback=check_spike_source, rich_help_panel=DATA,
                 help="auto: from the file, otherwise detected; detect: always detected; given: only from the file."),
]  # fmt: skip
SweepsOption = Annotated[
    str | None,
    typer.Option("--sweeps", metavar="SWEEPS", show_default=False, rich_help_panel=DATA,
                 help="Read only these sweeps: names or positions, comma-separated."),
]  # fmt: skip
ReaderOption = Annotated[
    list[str] | None,
    typer.Option("--option", "-O", metavar="NAME=VALUE", show_default=False, rich_help_panel=DATA,
                 help="Option of loading or of the file's reader: kind=noise, junction_potential=14, spikes.height=15, "
                      "electrode=icephys_1, columns.current=I, units.current=nA, timeout=60, allow_links=true ..."),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print JSON instead of a table.")]
RunsOption = Annotated[
    int,
    typer.Option("--runs", min=1, max=10_000, metavar="N", rich_help_panel=NUMERICS,
                 help="Noisy runs of a stochastic neuron."),
]  # fmt: skip
SeedOption = Annotated[int, typer.Option("--seed", min=0, metavar="N", rich_help_panel=NUMERICS, help="Random seed.")]


def make_choice_check(*known: str) -> Callable[[str | None], str | None]:
    """Make a check that a text is one of these, or not given."""

    def check(text: str | None) -> str | None:
        if text is None or text.lower() in known:
            return text and text.lower()
        raise typer.BadParameter(f"{text!r}; {near(text, known)}")

    return check


EffortOption = Annotated[
    str,
    typer.Option("--effort", metavar="|".join(EFFORTS), callback=make_choice_check(*EFFORTS), rich_help_panel=FIT,
                 help="best: also an ensemble of fits with small residual networks, which predicts better and takes "
                      "three times as long; the neuron that is exported stays the same."),
]  # fmt: skip
ObjectiveOption = Annotated[
    str | None,
    typer.Option("--objective", metavar="|".join(OBJECTIVES), callback=make_choice_check(*OBJECTIVES),
                 show_default=False, rich_help_panel=FIT,
                 help="physiology: hold rest, input resistance and time constant at what the voltage shows, the "
                      "default for neurons with a membrane (ALIF, IGIF ...). prediction: fit them to the spikes."),
]  # fmt: skip
FullOption = Annotated[
    bool, typer.Option("--full", rich_help_panel=OUTPUT, help="Print the scores of all readouts, in a wide table.")
]
StepOption = Annotated[
    float | None,
    typer.Option("--dt", min=1e-4, max=10.0, metavar="MS", show_default=False, rich_help_panel=NUMERICS,
                 help="Time step in ms."),
]  # fmt: skip
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="Folder of a run.")]


def parse_options(texts: Sequence[str] | None) -> dict[str, Any]:
    """Parse ``name=value`` texts as keyword arguments; a dot in the name makes a mapping.

    Examples
    --------
    >>> parse_options(["dt=0.1", "columns.current=I", "columns.voltage=2"])
    {'dt': 0.1, 'columns': {'current': 'I', 'voltage': 2}}
    """
    out: dict[str, Any] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{text!r}: give NAME=VALUE, such as electrode=icephys_1", param_hint="--option")
        outer, _, inner = name.partition(".")
        if inner:
            out.setdefault(outer, {})[inner] = _parse_value(value)
        else:
            out[outer] = _parse_value(value)
    return out


def _parse_value(text: str) -> Any:
    """Return a number, True or False where the text is one, otherwise the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def check_command(text: str) -> Path:
    """Check the file of ``-O command=FILE``."""
    try:
        return check_file(expand_home(text))
    except typer.BadParameter as error:
        error.param_hint = "--option"
        raise


def make_load_options(spikes: str, sweeps: str | None, options: Sequence[str] | None) -> dict[str, Any]:
    """Make the keyword arguments of `ephysfit.load`."""
    chosen = parse_options(options)
    if isinstance(chosen.get("command"), str):
        from ephysfit.cli.currents import read_command  # numpy: only where such a file is given

        chosen["command"] = read_command(check_command(chosen["command"]))
    if sweeps:
        chosen["sweeps"] = [int(s) if s.isdecimal() else s for s in sweeps.split(",")]
    return {"spikes": spikes, **chosen}


def open_recording(
    files: Sequence[Path],
    spikes: str,
    sweeps: str | None,
    options: Sequence[str] | None,
    train: str | None = None,
    test: str | None = None,
) -> ef.Recording:
    """Load the files of one cell as a recording; no rule judges what is to train by what is to test."""
    return ef.load(list(files), train=train, test=test, **make_load_options(spikes, sweeps, options))


def find_fit_sides(fit: ef.Fit, train: str | None, test: str | None) -> tuple[str | None, str | None]:
    """Find how the sweeps were divided: as the options say, or as the fit was made."""
    if train is not None or test is not None:
        return train, test
    return fit.provenance.split.get("train"), fit.provenance.split.get("test")


def find_model(name: str) -> str:
    """Check the name of a model: "auto", a name of the catalogue, or ``file.py:Name``, which is completed."""
    if name.lower() == "auto":
        return "auto"
    if ".py" not in name:
        names = {known.lower(): known for known in ef.models.catalogue()}
        if name.lower() not in names:
            raise typer.BadParameter(
                f"no neuron {name!r}; {near(name, ['auto', *names.values()])}", param_hint="--model"
            )
        return names[name.lower()]
    return f"{split_spec(name)[0]}:{read_user_neuron(name).__name__}"


def read_user_neuron(spec: str) -> type[ef.Neuron]:
    """Read the neuron in a file of the user; raise a usage error where the file is missing."""
    path = Path(split_spec(spec)[0])
    try:
        check_file(expand_home(path))
    except typer.BadParameter as error:
        error.param_hint = "--model"
        raise
    return ef.models.find(spec)


def open_fit(path: Path, neuron: str | None = None, trust: bool = False) -> ef.Fit:
    """Load a saved fit, with its neuron from the catalogue or from the given file."""
    return ef.Fit.load(path, read_user_neuron(neuron) if neuron else None, trust=trust)
