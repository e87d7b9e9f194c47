"""What one open page looks at: a cell, a stimulus, a neuron, and what was kept beside it. No widgets here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ephysfit.data.recording import Recording
from ephysfit.errors import EphysfitError, FitError
from ephysfit.explorer.library import Cell, Saved, Shelf, fit_of
from ephysfit.explorer.sliders import carried, turned
from ephysfit.explorer.stimulus import Scene, Take, scenes
from ephysfit.fitting.chain import default_step
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.provenance import Provenance
from ephysfit.fitting.stage import Problem, operating_point
from ephysfit.fitting.stage_reports import CausalRun, Reports
from ephysfit.models import catalogue, find
from ephysfit.neuron.declare import Neuron

Sharpen = tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Shown:
    """A neuron that can be put on the sliders: its label, how its causal run is sharpened, its fit if it is one."""

    label: str
    neuron: Neuron
    sharpen: Sharpen = (1.0, 0.0)
    fit: Fit | None = None
    dt: float | None = None
    saved: Saved | None = None

    @classmethod
    def of(cls, label: str, fit: Fit, saved: Saved | None = None) -> Shown:
        """A fit, with the sharpening it found."""
        return cls(label, fit.neuron, fit.sharpen, fit, fit.dt, saved)


class Session:
    """State of one page.

    Parameters
    ----------
    shelf : Shelf
    models : sequence of str
        Neurons of users' own files, ``my_file.py:Mine``, beside the catalogue.
    """

    def __init__(self, shelf: Shelf, models: Sequence[str] = ()) -> None:
        self.shelf, self.own = shelf, tuple(models)
        self.models = _models(self.own)
        self.cell: Cell = shelf.cells[0]
        self.recording: Recording | None = None
        self.parts: tuple[Recording, Recording] | None = None
        self.scenes: list[Scene] = []
        self.scene: Scene | None = None
        self.shown: list[Shown] = []
        self.kept: list[Shown] = []
        self.now = Shown("start values", next(iter(self.models.values())).start())

    def choose_cell(self, index: int) -> None:
        """Read a cell: its stimuli and its fits. Nothing changes if it cannot be read.

        Raises
        ------
        EphysfitError
            If neither recording nor fits can be read.
        """
        cell = self.shelf.cells[index]
        shown, refused = [], ""
        for saved in cell.fits:
            where = (saved.path.parent.name if saved.path.stem == "fit" else "run") if saved.path else "fit"
            try:
                shown.append(Shown.of(f"{saved.model} · {where}", self.shelf.open(saved), saved))
            except EphysfitError as error:
                refused = str(error)
        recording = cell.recording
        step = shown[0].dt if shown else None
        found = scenes(recording, step or default_step(recording))
        self.cell, self.recording, self.scenes, self.shown, self.kept = cell, recording, found, shown, []
        self.parts = _split(recording)
        self.scene = found[0]
        self.now = shown[0] if shown else Shown("start values", self._begin())
        if refused and not shown:
            raise FitError(refused)

    def _begin(self) -> Neuron:
        kind = self.models.get("AIGIF") or next(iter(self.models.values()))
        kind = next((self.models[name] for name in self.own), kind)
        return measured(kind.start(), self._training())

    def _training(self) -> Recording | None:
        """What a fit would train on: the start never sees the test sweeps."""
        return self.recording if self.parts is None else self.parts[0]

    def choose_scene(self, index: int) -> None:
        """Another stimulus of the cell."""
        self.scene = self.scenes[index]

    def choose_model(self, name: str) -> None:
        """The start of another neuron; what it shares with the one before keeps its value."""
        kind = self.models[name]
        if kind is not type(self.now.neuron):
            self.now = Shown(f"start values of {name}", measured(carried(self.now.neuron, kind), self._training()))

    def choose_shown(self, index: int) -> None:
        """One of the fits, or what was kept."""
        self.now = self.shown[index]

    def turn(self, changes: Mapping[str, Any]) -> None:
        """Some parameters changed by hand."""
        neuron = turned(self.now.neuron, changes)
        label = self.now.label if self.now.label.endswith("by hand") else f"{self.now.label}, by hand"
        self.now = Shown(label, neuron, self.now.sharpen, None, self.now.dt)

    def fitted(self, content: Mapping[str, Any]) -> None:
        """A fit that came from the worker."""
        kind = self.models.get(str(content["model"]))
        fit = fit_of(content, kind)
        n = sum(s.label.startswith(f"{fit.model} · fitted here") for s in self.shown)
        self.now = Shown.of(f"{fit.model} · fitted here" + (f" {n + 1}" if n else ""), fit)
        self.shown.append(self.now)

    def keep(self) -> None:
        """Keep what is on the sliders for comparison."""
        label = self.now.label
        while any(k.label == label for k in self.kept):
            label += " ′"
        kept = Shown(label, self.now.neuron, self.now.sharpen, self.now.fit, self.now.dt)
        self.kept.append(kept)
        if all(s.neuron is not kept.neuron for s in self.shown):
            self.shown.append(kept)

    def take(self, what: Shown | None = None, runs: int | None = None) -> Take:
        """A run of what is on the sliders, or of something kept, on the present stimulus."""
        if self.scene is None:
            raise FitError(f"{self.cell.name}: no stimulus to run on")
        one = what or self.now
        more = {} if runs is None else {"runs": runs}
        return self.scene.run(one.neuron, one.sharpen, **more)

    @property
    def training(self) -> Recording:
        """What a fit from this page is fitted to: repeats are kept for testing.

        Raises
        ------
        FitError
            If the recording cannot be split.
        """
        if self.parts is None:
            raise FitError(f"{self.cell.name}: cannot be split into training and test data; fit it from the shell")
        return self.parts[0]

    def role(self, scene: Scene) -> str:
        """Whether a fit may have seen a stimulus: "held out", "training", or "partly training"."""
        now = self.now.fit
        if now is not None and now.provenance.sweeps:
            seen = set(now.provenance.sweeps)
            held = set() if self.parts is None else {s.name for s in self.parts[1].sweeps}
        elif self.parts is not None:
            seen, held = ({s.name for s in part.sweeps} for part in self.parts)
        else:
            return ""
        mine = set(scene.sweeps)
        if not mine & seen:
            return "held out"
        return "partly training" if mine & held else "training"

    def as_fit(self) -> Fit:
        """What is on the sliders as a fit that can be saved; what was set by hand says so."""
        if self.now.fit is not None:
            return self.now.fit
        step = self.scene.dt if self.scene else 0.5
        recording = self.recording.source.rsplit("/", 1)[-1] if self.recording else ""
        own = next((m for m in self.own if m.endswith(f":{type(self.now.neuron).__name__}")), "")
        made = Provenance(recording=recording, origin=f"ephysfit explore: {self.now.label}", source=own)
        by_hand = ("parameters were set by hand in the explorer; no data determined them",)
        return Fit(self.now.neuron, self.cell.name, step, warnings=by_hand, provenance=made,
                   reports=Reports(CausalRun(self.now.sharpen)))  # fmt: skip


def _models(own: Sequence[str]) -> dict[str, type[Neuron]]:
    """Neurons that one injected current can drive, a user's own first."""
    mine = {kind.__name__: kind for kind in map(find, own)}
    return {**mine, **{n: k for n, k in catalogue().items() if len(k.inputs) == 1 and n not in mine}}


def _split(recording: Recording) -> tuple[Recording, Recording] | None:
    try:
        return recording.split()
    except EphysfitError:
        return None


def measured(neuron: Neuron, training: Recording | None) -> Neuron:
    """A start with what a fit would read off the training data put in; as it is where a fit would refuse them."""
    if training is None:
        return neuron
    try:
        return neuron.replace(**operating_point(Problem(training, type(neuron), default_step(training))))
    except EphysfitError:
        return neuron
