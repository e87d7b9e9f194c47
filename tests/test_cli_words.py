"""What the shell says: folders of fits, hints in its own words, steps by their amplitude."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.cli import main
from ephysfit.cli.shell_words import translate_hints
from ephysfit.data.sweep import Sweep
from ephysfit.data.sweep_table import describe_current
from ephysfit.errors import FitError, NeuronError, UnknownNameError
from ephysfit.models import LIF
from tests.data.places import piece

CELL = LIF(C=80.0, g=5.0, E_L=-65.0, theta=-48.0, V_reset=-60.0, t_ref=3.0, delta=2.0)
SHIPPED = Path(__file__).parents[1] / "data" / "18713001.abf"


def run(*arguments: object) -> int:
    """Exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four repeats of 4 s of noise in a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    current = 90.0 + 250.0 * np.convolve(rng.normal(size=8000), np.exp(-np.arange(12) / 4.0) / 4.0, mode="same")
    trains = ef.simulate(CELL, current, dt=0.5, runs=4, noise="escape", seed=1).spike_times[0]
    np.savez(
        "cell.npz",
        current_pA=np.tile(current, (4, 1)),
        dt_ms=0.5,
        spike_times_ms=np.concatenate(trains),
        spike_trial=np.repeat(np.arange(4), [len(t) for t in trains]),
    )
    return Path("cell.npz")


def test_fits_of_two_models_lie_in_two_folders_and_a_second_fit_says_what_it_replaces(
    cell: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--test", "0.25", "--runs", "20", "--no-report", "--intervals", "none")
    for model in ("LIF", "GLIF1"):
        assert run("fit", cell, "--model", model, *common) == 0
    assert "replaced" not in capsys.readouterr().err
    assert sorted(p.name for p in Path().iterdir() if p.is_dir()) == ["fit_cell_GLIF1", "fit_cell_LIF"]
    assert run("fit", cell, "--model", "LIF", "-o", "fit_cell_GLIF1", *common) == 0
    assert "replaced: the fit of GLIF1 to cell in fit_cell_GLIF1/fit.json" in capsys.readouterr().err
    assert run("score", "fit_cell_LIF", cell, "--runs", "20") == 0
    assert "Md* ±4 ms" in capsys.readouterr().out


def test_a_folder_without_a_fit_is_a_usage_error(cell: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert run("score", "empty", cell) == 2
    assert "without fit.json" in " ".join(capsys.readouterr().err.split())


def test_steps_are_listed_by_amplitude_and_length(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", SHIPPED) == 0
    said = capsys.readouterr().out
    assert "0 to 60 for 0.5 s, -100 for 0.3 s" in said
    assert "±" not in said


def test_the_level_of_a_noisy_step_is_its_median() -> None:
    step = np.where((np.arange(10_000) > 2000) & (np.arange(10_000) <= 7000), 100.0, 0.0)
    noisy = step + np.random.default_rng(0).normal(0.0, 3.0, 10_000)
    assert describe_current(Sweep(noisy, 0.1, stimulus="step")) == "0 to 100 for 0.5 s"


def test_a_current_that_is_not_in_the_file_is_given_as_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("info", piece("lost_stimulus")) == 1
    assert "-O command=FILE" in " ".join(capsys.readouterr().err.split())
    sine = 20 * np.sin(np.arange(2000) / 100)
    file = tmp_path / "sine.csv"
    np.savetxt(file, np.stack([np.arange(2000) * 0.1, sine], 1), "%.9g", ",", header="time_ms,current_pA", comments="")
    assert run("info", piece("lost_stimulus"), "-O", f"command={file}") == 0
    assert "3 sweeps" in capsys.readouterr().out
    assert run("info", piece("lost_stimulus"), "-O", f"command={tmp_path}/no.csv") == 2


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("give group=", "give -O group=NAME"),
        ("use_template=True takes it", "-O use_template=true takes it"),
        ("give columns= and units=", "give -O columns.current=NAME and -O units.current=pA"),
        ("allow more with timeout= (-O timeout=60)", "allow more with -O timeout=VALUE (-O timeout=60)"),
        ("why; undriven=True (--undriven on the shell) fits it", "why; --undriven fits it"),
        ("Likelihood(recent=30000), on the command line --recent 30, gives", "--recent 30 gives"),
        ("R=0.3 and g=5 are as they were", "R=0.3 and g=5 are as they were"),
    ],
)
def test_hints_are_options_of_the_shell(python: str, shell: str) -> None:
    assert translate_hints(python) == shell


class Misspelt(ef.Neuron):
    tau = ef.Parameter("ms", 2.0, 100.0, "membrane time constant", start=20.0)
    theta = ef.Parameter("mV", 1.0, 50.0, "threshold", start=10.0)
    V = ef.State("mV")

    def flow(self, x, I):
        return {"V": -x.v / self.tau}

    def margin(self, x):
        return x.V - self.Theta

    def jump(self, x):
        return {"V": 0.0}


def test_a_misspelt_name_in_an_equation_gets_the_nearest_one() -> None:
    with pytest.raises(NeuronError, match=r"has no state 'v'; did you mean V\?"):
        ef.check_neuron(Misspelt)
    with pytest.raises(UnknownNameError, match=r"Misspelt has no parameter 'Theta'; did you mean theta\?"):
        Misspelt.start().margin(Misspelt.State(1.0))
    assert not hasattr(Misspelt.start(), "Theta")


def test_a_neuron_of_a_notebook_cell_is_asked_for_by_name(tmp_path: Path) -> None:
    saved = ef.Fit(Misspelt.start(), "cell", 0.5).save(tmp_path / "fit.json")
    with pytest.raises(FitError, match=r"Fit\.load\(path, neuron=Misspelt\)"):
        ef.Fit.load(saved)
    assert ef.Fit.load(saved, neuron=Misspelt).model == "Misspelt"
