"""State of one open page, without widgets: cell, stimulus, neuron, and the models kept for comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ephysfit.data.recording import Recording
from ephysfit.errors import EphysfitError, FitError
from ephysfit.explorer.cell_cards import CellCards
from ephysfit.explorer.fit_files import SavedFit
from ephysfit.explorer.library import Cell, Library, make_fit
from ephysfit.explorer.sliders import change_parameters, start_sharing_parameters
from ephysfit.explorer.stimulus import Response, ShownStimulus, list_stimuli
from ephysfit.fitting.chain import default_step
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.provenance import Provenance
from ephysfit.fitting.stage import Problem, measure_operating_point
from ephysfit.fitting.stage_reports import CausalRun, Reports
from ephysfit.models import catalogue, find
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.potential_unit import PotentialUnit, find_potential_unit

Sharpen = tuple[float, float] | None
#: end of the label of a neuron whose sliders were moved, beginning of that of a running fit
BY_HAND, FITTING = ", by hand", "fitting"


@dataclass(frozen=True, eq=False)
class ShownNeuron:
    """A neuron that can be put on the sliders, with its label, the sharpening of its causal run, and its fit if any."""

    label: str
    neuron: Neuron
    sharpen: Sharpen = (1.0, 0.0)
    fit: Fit | None = None
    dt: float | None = None
    saved: SavedFit | None = None
    scale: PotentialUnit | None = None

    @classmethod
    def of(cls, label: str, fit: Fit, saved: SavedFit | None = None) -> ShownNeuron:
        """Return the neuron of a fit, with its sharpening."""
        return cls(label, fit.neuron, fit.sharpen, fit, fit.dt, saved)


class Session:
    """State of one open page.

    Parameters
    ----------
    library : Library
    models : sequence of str
        Neurons in files of the user, ``my_file.py:Mine``, besides the catalogue.
    """

    def __init__(self, library: Library, models: Sequence[str] = ()) -> None:
        self.library, self.own = library, tuple(models)
        self.models = _list_models(self.own)
        self.cell: Cell = library.cells[0]
        self.recording: Recording | None = None
        self.parts: tuple[Recording, Recording] | None = None
        self.cards: CellCards | None = None
        self.stimuli: list[ShownStimulus] = []
        self.stimulus: ShownStimulus | None = None
        self.shown: list[ShownNeuron] = []
        self.compared: list[ShownNeuron] = []
        self.now = ShownNeuron("start values", next(iter(self.models.values())).start())

    def choose_cell(self, index: int) -> None:
        """Read a cell, with its stimuli and fits. The state stays unchanged if that fails.

        Raises
        ------
        EphysfitError
            If neither recording nor fits can be read.
        """
        cell = self.library.cells[index]
        shown, refused = [], ""
        for saved in cell.fits:
            where = (saved.path.parent.name if saved.path.stem == "fit" else "run") if saved.path else "fit"
            try:
                shown.append(ShownNeuron.of(f"{saved.model} · {where}", self.library.open(saved), saved))
            except EphysfitError as error:
                refused = str(error)
        recording = cell.recording
        step = shown[0].dt if shown else None
        found = list_stimuli(recording, step or default_step(recording))
        self.cell, self.recording, self.stimuli, self.shown, self.compared = cell, recording, found, shown, []
        self.parts = _split_or_none(recording)
        self.cards = CellCards(recording if self.parts is None else self.parts[0])
        self.stimulus = found[0]
        self.now = shown[0] if shown else ShownNeuron("start values", self._begin())
        if refused and not shown:
            raise FitError(refused)

    def _begin(self) -> Neuron:
        kind = self.models.get("AIGIF") or next(iter(self.models.values()))
        kind = next((self.models[name] for name in self.own), kind)
        return start_from_training(kind.start(), self._training())

    def _training(self) -> Recording | None:
        """Return the training data of a fit: start values must not depend on the test sweeps."""
        return self.recording if self.parts is None else self.parts[0]

    def choose_stimulus(self, index: int) -> None:
        """Choose another stimulus of the cell."""
        self.stimulus = self.stimuli[index]

    def choose_model(self, name: str) -> None:
        """Choose another neuron at its start values; what means the same in both keeps its value."""
        kind = self.models[name]
        if kind is not type(self.now.neuron):
            self.now = ShownNeuron(
                f"start values of {name}",
                start_from_training(start_sharing_parameters(self.now.neuron, kind), self._training()),
            )

    def choose_shown(self, index: int) -> None:
        """Choose one of the fits or of the models kept for comparison."""
        self.now = self.shown[index]

    @property
    def scale(self) -> PotentialUnit:
        """Unit in which the sliders show potentials: that of the fit from which the neuron began."""
        if self.now.fit is not None:
            return self.now.fit.potential_unit
        return self.now.scale or find_potential_unit(self.now.neuron, fixed=True)

    def change_parameters(self, changes: Mapping[str, Any]) -> None:
        """Change some parameters by hand, by flat name, in the unit of the sliders."""
        label = self.now.label if self.now.label.endswith(BY_HAND) else f"{self.now.label}{BY_HAND}"
        self._replace_parameters(changes, label, self.scale)

    def follow_fit(self, values: Mapping[str, Any]) -> None:
        """Show the values of a step of a running fit, by flat name."""
        self._replace_parameters(values, f"{FITTING} {type(self.now.neuron).__name__} …", PotentialUnit())

    def end_following(self) -> None:
        """Name what is on the sliders after a fit was stopped: the best step that it had reached."""
        if self.now.label.startswith(FITTING):
            self.now = replace(self.now, label=f"{type(self.now.neuron).__name__} · stopped fit, its best step")

    def _replace_parameters(self, changes: Mapping[str, Any], label: str, given_in: PotentialUnit) -> None:
        neuron = change_parameters(self.now.neuron, changes, given_in)
        self.now = ShownNeuron(label, neuron, self.now.sharpen, None, self.now.dt, scale=self.scale)

    def keep_open_fit(self) -> bool:
        """Keep the fit that is open for comparison, unless it is there or none is open; return whether it was added."""
        fit = self.now.fit
        if fit is None or any(k.fit is fit for k in self.compared):
            return False
        self.keep()
        return True

    def add_fit(self, content: Mapping[str, Any]) -> None:
        """Add a fit that the worker has finished."""
        kind = self.models.get(str(content["model"]))
        fit = make_fit(content, kind)
        n = sum(s.label.startswith(f"{fit.model} · fitted here") for s in self.shown)
        self.now = ShownNeuron.of(f"{fit.model} · fitted here" + (f" {n + 1}" if n else ""), fit)
        self.shown.append(self.now)

    def keep(self) -> None:
        """Keep the neuron on the sliders for comparison."""
        label = self.now.label
        while any(k.label == label for k in self.compared):
            label += " ′"
        added = ShownNeuron(label, self.now.neuron, self.now.sharpen, self.now.fit, self.now.dt, scale=self.now.scale)
        self.compared.append(added)
        if all(s.neuron is not added.neuron for s in self.shown):
            self.shown.append(added)

    def compute_response(self, what: ShownNeuron | None = None, runs: int | None = None) -> Response:
        """Run the neuron on the sliders, or another one, on the current stimulus."""
        if self.stimulus is None:
            raise FitError(f"{self.cell.name}: no stimulus to run on")
        one = what or self.now
        more = {} if runs is None else {"runs": runs}
        return self.stimulus.run(one.neuron, one.sharpen, **more)

    @property
    def training(self) -> Recording:
        """Training data of a fit from this page; repeats are reserved for testing.

        Raises
        ------
        FitError
            If the recording cannot be split.
        """
        if self.parts is None:
            raise FitError(f"{self.cell.name}: cannot be split into training and test data; fit it from the shell")
        return self.parts[0]

    def role(self, stimulus: ShownStimulus) -> str:
        """Return whether a fit may have used a stimulus: "held out", "training", "partly training" or ""."""
        now = self.now.fit
        if now is not None and now.provenance.sweeps:
            used = set(now.provenance.sweeps)
            held = set() if self.parts is None else {s.name for s in self.parts[1].sweeps}
        elif self.parts is not None:
            used, held = ({s.name for s in part.sweeps} for part in self.parts)
        else:
            return ""
        mine = set(stimulus.sweeps)
        if not mine & used:
            return "held out"
        return "partly training" if mine & held else "training"

    def as_fit(self) -> Fit:
        """Return the neuron on the sliders as a fit that can be saved, with a warning if it was set by hand."""
        if self.now.fit is not None:
            return self.now.fit
        step = self.stimulus.dt if self.stimulus else 0.5
        recording = self.recording.source.rsplit("/", 1)[-1] if self.recording else ""
        own = next((m for m in self.own if m.endswith(f":{type(self.now.neuron).__name__}")), "")
        made = Provenance(recording=recording, origin=f"ephysfit explore: {self.now.label}", source=own)
        by_hand = ("parameters were set by hand in the explorer; no data determined them",)
        return Fit(self.now.neuron, self.cell.name, step, warnings=by_hand, provenance=made,
                   reports=Reports(CausalRun(self.now.sharpen)))  # fmt: skip


def _list_models(own: Sequence[str]) -> dict[str, type[Neuron]]:
    """List the neurons that one injected current can drive, those of the user first."""
    mine = {kind.__name__: kind for kind in map(find, own)}
    return {**mine, **{n: k for n, k in catalogue().items() if len(k.inputs) == 1 and n not in mine}}


def _split_or_none(recording: Recording) -> tuple[Recording, Recording] | None:
    try:
        return recording.split()
    except EphysfitError:
        return None


def start_from_training(neuron: Neuron, training: Recording | None) -> Neuron:
    """Set the measured parameters of a start from the training data; unchanged where a fit would refuse these data."""
    if training is None:
        return neuron
    try:
        return neuron.replace(**measure_operating_point(Problem(training, type(neuron), default_step(training))))
    except EphysfitError:
        return neuron
