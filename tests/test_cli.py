"""The command line: what each verb prints and writes, exit codes, near names, and agreement with the Python calls."""

from __future__ import annotations

import csv
import inspect
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from typer import rich_utils

import ephysfit as ef
from ephysfit.cli import main
from ephysfit.cli.commands import VERBS, load_verb
from ephysfit.models import LIF, catalogue

ROOT = Path(__file__).parents[1]
CELL = LIF(C=80.0, g=5.0, E_L=-65.0, theta=-48.0, V_reset=-60.0, t_ref=3.0, delta=2.0)
DT = 0.5


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """stderr in one line, without the frame that a terminal draws."""
        return re.sub(r"[│╭╮╰╯─\s]+", " ", self.err)


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return Outcome(int(end.value.code or 0), said.out, said.err)

    return call


def noise(seconds: float, seed: int) -> np.ndarray:
    """Ornstein-Uhlenbeck-like current, pA, in steps of DT."""
    rng = np.random.default_rng(seed)
    white = rng.normal(size=round(seconds * 1e3 / DT) + 40)
    return 70.0 + 200.0 * np.convolve(white, np.exp(-np.arange(40) * DT / 3.0) / 6.0, mode="valid")[:-1]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(train, test): 10 s of noise, and five repeats of 5 s of another, of a cell whose parameters are known."""
    folder = tmp_path_factory.mktemp("cell")
    out = []
    for name, seconds, repeats, seed in (("cell7_train", 10.0, 1, 1), ("cell7_test", 5.0, 5, 2)):
        current = noise(seconds, seed)
        done = ef.simulate(CELL, current, dt=DT, runs=repeats, noise="escape", seed=seed)
        trains = done.spike_times[0]
        np.savez(
            folder / f"{name}.npz",
            current_pA=np.tile(current, (repeats, 1)),
            dt_ms=DT,
            spike_times_ms=np.concatenate(trains),
            spike_trial=np.repeat(np.arange(repeats), [len(t) for t in trains]),
        )
        out.append(folder / f"{name}.npz")
    return out[0], out[1]


@dataclass(frozen=True)
class Fitted:
    """A fit made from the shell: its folder, and what was said."""

    folder: Path
    said: Outcome

    @property
    def fit(self) -> Path:
        return self.folder / "fit.json"


@pytest.fixture(scope="module")
def fitted(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("fits") / "deep" / "lif"
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as end, redirect_stdout(out), redirect_stderr(err):
        main(["fit", *map(str, files), "--model", "lif", "-o", str(folder), "--runs", "30"])
    return Fitted(folder, Outcome(int(end.value.code or 0), out.getvalue(), err.getvalue()))


def test_fit_prints_the_score_and_writes_what_it_says(fitted: Fitted) -> None:
    said = fitted.said
    assert said.code == 0, said.err
    assert "Md* ±4 ms" in said.out
    assert "train 1 sweep, 10 s" in said.err
    assert "test 5 sweeps, 25 s" in said.err
    assert "likelihood" in said.err
    written = said.out.split("written: ")[1].split()
    assert [Path(w).name for w in written] == ["fit.json", "scores.json", "report.html"]
    assert all(Path(w).parent == fitted.folder for w in written)
    assert "</html>" in Path(written[2]).read_text(encoding="utf-8")


def test_fit_says_the_same_as_python(files: tuple[Path, Path], fitted: Fitted) -> None:
    train, test = ef.load(list(files)).split()
    fit = ef.fit(train, "LIF")
    saved = ef.Fit.load(fitted.fit)
    assert saved.neuron.values() == pytest.approx(fit.neuron.values())
    scores = json.loads((fitted.folder / "scores.json").read_text(encoding="utf-8"))
    simulated = fit.simulate(test, runs=30)
    noisy = {row["name"]: row["value"] for row in scores["readouts"]["noisy_runs"]["rows"]}
    assert noisy["md_star_4"] == pytest.approx(ef.score(simulated, test)["md_star_4"])
    causal = {row["name"]: row["value"] for row in scores["readouts"]["causal_run"]["rows"]}
    assert causal["gamma_over_R_4"] == pytest.approx(ef.score(simulated.companions["causal"], test)["gamma_over_R_4"])


def test_a_fit_has_intervals_and_the_verb_gives_others(
    run: Run, files: tuple[Path, Path], fitted: Fitted, tmp_path: Path
) -> None:
    assert ef.Fit.load(fitted.fit).intervals.method == "fisher"
    assert "95 % interval" in (fitted.folder / "report.html").read_text(encoding="utf-8")
    copy = tmp_path / "fit.json"
    copy.write_bytes(fitted.fit.read_bytes())
    done = run("intervals", copy, *files, "--parameters", "C", "--level", "0.9")
    assert done.code == 0, done.err
    assert "90 % interval" in done.out
    assert "held: the mV scale" in done.out
    assert "rheobase" in done.out
    found = ef.Fit.load(copy).intervals
    assert found.method == "profile"
    assert "C" in found.parameters
    assert "g" not in found.parameters
    done = run("intervals", copy, files[1])
    assert done.code == 1
    assert "is not what this fit was fitted to" in done.message
    done = run("intervals", copy, *files, "--how", "profil")
    assert done.code == 2
    assert "did you mean profile" in done.message


def test_score_of_a_saved_fit_uses_the_split_of_the_fit(run: Run, files: tuple[Path, Path], fitted: Fitted) -> None:
    again = run("score", fitted.fit, *files, "--runs", 30, "--json")
    written = json.loads((fitted.folder / "scores.json").read_text(encoding="utf-8"))
    assert json.loads(again.out) == written


def test_score_of_a_file_the_fit_has_not_seen_takes_all_of_it(
    run: Run, files: tuple[Path, Path], fitted: Fitted
) -> None:
    done = run("score", fitted.fit, files[1], "--runs", 30, "--json")
    assert json.loads(done.out)["readouts"]["noisy_runs"]["n_repeats"] == [5]


def test_a_neuron_from_a_users_file_is_fitted_saved_and_found_again(
    run: Run, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "from ephysfit.models import LIF\nMine = LIF.pin('Mine', delta=2.0, t_ref=3.0, C=80.0)\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    done = run("fit", *files, "-m", "mine.py", "-o", "out", "--no-report", "--json", "--runs", 20)
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["fit"]["model"] == "Mine"
    assert set(said["fit"]["parameters"]) == {"g", "E_L", "theta", "V_reset"}
    assert said["scores"]["readouts"]["noisy_runs"]["n_repeats"] == [5]
    assert "report" not in said["files"]
    refused = run("score", "out/fit.json", *files, "--runs", 20)
    assert refused.code == 1
    assert "never run by itself" in " ".join(refused.err.split())
    assert run("score", "out/fit.json", *files, "--runs", 20, "--trust").code == 0
    (tmp_path / "mine.py").rename(tmp_path / "moved.py")
    assert run("score", "out/fit.json", *files, "--runs", 20).code == 1
    assert run("score", "out/fit.json", *files, "--runs", 20, "--model", "moved.py:Mine").code == 0


def test_the_template_is_printed_shown_and_refused_once_broken(
    run: Run, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = run("models", "--template").out
    (tmp_path / "my_neuron.py").write_text(text, encoding="utf-8")
    shown = run("models", "my_neuron.py:Mine")
    assert shown.code == 0, shown.err
    assert "membrane capacitance" in shown.out
    (tmp_path / "broken.py").write_text(text.replace("self.theta", "self.thet"), encoding="utf-8")
    refused = run("fit", *files, "-m", "broken.py:Mine")
    assert refused.code == 1
    assert re.search(r"broken.py, line \d+, Mine: .* no parameter 'thet'; did you mean theta", refused.message)
    assert run("models", "ALIF", "--template").code == 2


def test_score_on_training_data_is_refused_unless_asked(run: Run, files: tuple[Path, Path], fitted: Fitted) -> None:
    refused = run("score", fitted.fit, files[0])
    assert refused.code == 1
    assert "--test" in refused.message
    asked = run("score", fitted.fit, files[0], "--test", "0.2", "--runs", 5)
    assert asked.code == 0


def test_simulate_writes_every_spike(run: Run, files: tuple[Path, Path], fitted: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "spikes.csv"
    done = run("simulate", fitted.fit, files[1], "-o", path, "--runs", 7, "--seed", 3)
    assert done.code == 0, done.err
    with path.open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["readout"] == "noisy runs"]
    expected = ef.Fit.load(fitted.fit).simulate(ef.load(files[1]), runs=7, seed=3).spike_times[0]
    for k, train in enumerate(expected):
        written = [float(r["spike_time_ms"]) for r in rows if r["run"] == str(k)]
        assert written == pytest.approx(train.tolist(), abs=1e-3)


def test_simulate_needs_no_voltage_and_no_spikes(run: Run, fitted: Fitted, tmp_path: Path) -> None:
    planned = tmp_path / "planned.csv"
    planned.write_text("current_pA\n" + "\n".join(["150"] * 4000) + "\n", encoding="utf-8")
    done = run("simulate", fitted.fit, planned, "-O", "dt=0.5", "--json", "--runs", 3)
    (stimulus,) = json.loads(done.out)["stimuli"]
    assert stimulus["duration_ms"] == 2000.0
    assert len(stimulus["spike_times_ms"]["noisy_runs"]) == 3
    assert len(stimulus["spike_times_ms"]["causal_run"][0]) > 5


def test_report_of_a_saved_fit(run: Run, files: tuple[Path, Path], fitted: Fitted, tmp_path: Path) -> None:
    done = run("report", fitted.fit, files[1], "-o", tmp_path / "page.html")
    assert done.code == 0, done.err
    assert "</html>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_info_shows_stimuli_and_split(run: Run) -> None:
    done = run("info", ROOT / "data" / "DRN164.nwb")
    assert done.code == 0
    assert re.search(r"0\s+frozen noise, training\s+noise\s+1\s+60\s+527\s+train", done.out)
    assert "train: 1 sweep, 60 s, 527 spikes" in done.out
    assert "test: 10 sweeps, 100 s, 707 spikes" in done.out


def test_info_as_json_holds_the_same(run: Run) -> None:
    said = json.loads(run("info", ROOT / "data" / "DRN164.nwb", "--json").out)
    assert said["usable"] is True
    assert [s["repeats"] for s in said["stimuli"]] == [1, 10]


def test_info_on_a_file_of_which_nothing_is_usable_says_why_and_fails(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "voltage_only.csv"
    path.write_text("time_ms,voltage_mV\n0,-65\n0.1,-65\n0.2,-64\n", encoding="utf-8")
    done = run("info", path)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert "current" in done.message
    assert "Traceback" not in done.err


def test_models_lists_the_catalogue(run: Run) -> None:
    listed = json.loads(run("models", "--json").out)
    assert [m["name"] for m in listed] == list(catalogue())
    assert all(m["what it is"] for m in listed)
    assert "AdLIF" in run("models").out


def test_models_shows_one_with_bounds_and_equations(run: Run) -> None:
    done = run("models", "alif")
    assert re.search(r"d_theta\s+mV\s+0\s+5\s+60", done.out)
    assert "spike when V - h - theta >= 0" in done.out


MINE = '''
from ephysfit import Neuron, Parameter, State

class Leak(Neuron):
    """My neuron."""
    tau = Parameter("ms", 1.0, 100.0, "membrane time constant", start=20.0)
    theta = Parameter("mV", 0.5, 2.0, "threshold", start=1.0)
    V = State("mV", rest=0.0)
    hold = ()
    def flow(self, x, I): return {"V": -x.V / self.tau}
    def margin(self, x): return x.V - self.theta
    def jump(self, x): return {"V": 0.0 * x.V}
'''


def test_models_takes_a_users_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    done = run("models", f"{tmp_path / 'mine.py'}:Leak", "--json")
    assert json.loads(done.out)["parameters"][0]["name"] == "tau"
    wrong = run("models", f"{tmp_path / 'mine.py'}:Leek")
    assert wrong.code == 1
    assert "did you mean Leak?" in wrong.message


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["inof", "x"], "info"),
        (["fit", "data/DRN16.nwb"], "DRN164.nwb"),
        (["fit", "data/DRN164.nwb", "--modle", "LIF"], "--model"),
        (["fit", "data/DRN164.nwb", "--model", "AdLFI"], "AdLIF"),
        (["fit", "data/DRN164.nwb", "--spikes", "detekt"], "detect"),
        (["fit", "data/DRN164.nwb", "--runs", "0"], "greater than or equal to 1"),
        (["fit", "data"], "folder"),
        (["fit"], "FILE"),
        (["simulate", "data/LICENSE-raphe", "data/DRN164.nwb", "-o", "spikes.xlsx"], ".csv"),
        (["info", "data/DRN164.nwb", "-O", "electrode"], "NAME=VALUE"),
        (["models", "GLIF6"], "GLIF5"),
    ],
)
def test_a_mistyped_command_is_a_usage_error_with_the_near_name(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], hint: str
) -> None:
    monkeypatch.chdir(ROOT)
    done = run(*arguments)
    assert done.code == 2
    assert hint in done.message
    assert done.out == ""


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--test", "cell7_tset"], "did you mean"),
        (["--train", "9"], "no sweep '9'"),
        (["--train", "cell7_train", "--test", "cell7_train"], "train and test"),
        (["--train", "cell7_train", "--test", "0.2"], "part of each sweep"),
        (["--train", "*"], "no sweep is left"),
    ],
)
def test_sweeps_that_do_not_exist_or_clash(run: Run, files: tuple[Path, Path], options: list[str], hint: str) -> None:
    done = run("fit", *files, "-m", "LIF", *options)
    assert done.code == 2
    assert hint in done.message


@pytest.mark.parametrize(
    "options", [["--test", "cell7_test"], ["--train", "0"], ["--test", "1-5"], ["--test", "*test*"]]
)
def test_sweeps_by_file_position_range_and_pattern(files: tuple[Path, Path], options: list[str]) -> None:
    from ephysfit.cli.sweep_options import split_recording

    named = dict(zip(["train", "test"], [None, None], strict=True)) | {options[0].strip("-"): options[1]}
    train, test = split_recording(ef.load(list(files)), **named)
    assert (len(train), len(test)) == (1, 5)


def test_a_fit_that_cannot_be_read_is_one_block(run: Run, tmp_path: Path) -> None:
    (tmp_path / "fit.json").write_text('{"model": "LIF"}', encoding="utf-8")
    done = run("score", tmp_path / "fit.json", ROOT / "data" / "DRN164.nwb")
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert "not a fit saved by ephysfit" in done.message


def test_version_and_no_arguments(run: Run) -> None:
    assert run("--version").out.strip() == f"ephysfit {ef.__version__}"
    assert run().code == 2


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(run: Run, verb: str) -> None:
    done = run(verb, "--help")
    assert done.code == 0
    assert "Examples" in done.out
    assert f"ephysfit {verb}" in done.out


@pytest.mark.parametrize("verb", VERBS)
def test_the_line_of_a_verb_in_the_list_begins_its_own_help(verb: str) -> None:
    word = verb.replace("-", "_")
    docstring = inspect.getdoc(getattr(import_module(f"ephysfit.cli.verbs.{word}"), word))
    assert docstring is not None
    assert docstring.split("\n\n")[0].replace("\n", " ") == VERBS[verb]


def test_every_module_of_a_verb_is_listed() -> None:
    files = {path.stem.replace("_", "-") for path in (ROOT / "ephysfit" / "cli" / "verbs").glob("[!_]*.py")}
    assert files == set(VERBS)


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_fits_eighty_columns_in_the_words_of_the_field(
    run: Run, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 80)
    help_text = run(*filter(None, [verb]), "--help").out
    assert max(map(len, help_text.splitlines())) <= 80
    assert not re.findall(r"<\w+(?:\[\w+\])?(?: range)?>|[{}]", help_text)  # types of Python, placeholders of click
    named = load_verb(verb).params if verb else []
    assert all(param.metavar in help_text for param in named if param.metavar and not param.hidden)  # none is folded
    options = [line for line in help_text.splitlines() if re.match(r"│ \*? *--", line)]
    panels = re.findall(r"╭─ (\w+) ─", help_text)
    assert "Options" not in panels if len(options) > 6 else panels  # the sixth is --help


@pytest.mark.parametrize(
    ("words", "verbs"), [("--help", set()), ("fit --help", {"fit", "intervals"}), ("score --help", {"score"})]
)
def test_help_imports_the_verb_asked_for_and_nothing_that_computes(words: str, verbs: set[str]) -> None:
    code = f"""
import sys
from ephysfit.cli import main
try:
    main({words.split()!r})
except SystemExit:
    print(*(m for m in sys.modules if m.startswith("ephysfit.cli.verbs.") or m == "torch"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()[-1].split()) == {f"ephysfit.cli.verbs.{verb}" for verb in verbs}


def test_export_writes_what_it_says_and_refuses_with_a_reason(run: Run, fitted: Fitted, tmp_path: Path) -> None:
    fit = fitted.folder / "fit.json"
    said = run("export", fit, "--to", "nest", "-o", tmp_path / "cell.nestml")
    assert said.code == 0, said.err
    written = said.out.removeprefix("written: ").split()
    assert [Path(p).name for p in written] == ["cell.nestml", "cell_nest.py"]
    assert all(Path(p).stat().st_size for p in written)
    refused = run("export", fit, "--to", "nir", "-o", tmp_path / "cell.nir")
    assert refused.code == 1
    assert "cannot be exported to NIR" in refused.message
    assert not (tmp_path / "cell.nir").exists()


def test_export_to_a_simulator_that_does_not_exist_names_the_near_one(run: Run, fitted: Fitted) -> None:
    said = run("export", fitted.folder / "fit.json", "--to", "brain2")
    assert said.code == 2
    assert "did you mean brian2" in said.message


def test_plot_of_a_saved_fit(run: Run, files: tuple[Path, Path], fitted: Fitted, tmp_path: Path) -> None:
    figure = tmp_path / "raster.pdf"
    done = run("plot", fitted.fit, *files, "-k", "raster", "--from", "500-1500", "-o", figure, "--runs", "20")
    assert done.code == 0, done.err
    assert figure.read_bytes().startswith(b"%PDF")
    for wrong, hint in ((("-k", "rastr"), "did you mean raster"), (("--from", "9"), "START-STOP")):
        refused = run("plot", fitted.fit, *files, *wrong, "-o", figure)
        assert refused.code == 2
        assert hint in refused.message


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--drift", "often"), 2, "give auto, or a number of pieces from 0 to 20"),
        (("--drift", "21"), 2, "give auto, or a number of pieces"),
        (("--recent", "0"), 2, "recent"),
        (("--voltage",), 1, "has no membrane potential in mV"),
        (("--voltage", "-m", "ALIF"), 1, "no sweep has a recorded voltage; fit the spikes alone"),
        (("--drift", "1", "-m", "AdEx"), 1, "AdEx is not fitted by its likelihood"),
    ],
)
def test_settings_of_the_likelihood_that_cannot_be_kept_are_refused(run: Run, files, tmp_path, options, code, said):
    found = run("fit", *files, "--test", files[1].name, "-o", tmp_path / "out", *options)
    assert found.code == code
    assert said in found.message
    assert not (tmp_path / "out").exists()


def test_settings_of_the_likelihood_reach_it(run: Run, files, tmp_path):
    out = tmp_path / "out"
    options = ("-m", "LIF", "--drift", "1", "--recent", "5", "--runs", "10", "--intervals", "none", "--no-report")
    assert run("fit", *files, "--test", files[1].name, "-o", out, *options).code == 0
    stage = next(
        s for s in json.loads((out / "fit.json").read_text())["provenance"]["stages"] if s["stage"] == "Likelihood"
    )
    assert (stage["drift"], stage["recent"]) == (1, 5000.0)


def test_scores_fit_into_80_columns_without_breaking_a_line(run: Run, files: tuple[Path, Path], fitted: Fitted) -> None:
    short = run("score", fitted.fit, *files, "--runs", 20)
    lines = short.out.splitlines()
    rule = next(k for k, line in enumerate(lines) if "────" in line)
    rows = lines[rule - 1 : lines.index("", rule) if "" in lines[rule:] else None]
    assert max(len(row.rstrip()) for row in rows if "±4 ms" in row or "────" in row) <= 80
    assert max(map(len, lines)) <= 100  # sentences are wrapped
    assert "--full shows all readouts" in short.out
    full = run("score", fitted.fit, *files, "--runs", 20, "--full")
    assert any("consensus" in line and "noisy runs" in line for line in full.out.splitlines())
    assert "--full" not in full.out
