"""One call of a generated kernel over the rows of a problem: arrays laid out in tiles, forward and back again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np

from ephysfit.errors import SimulationError
from ephysfit.kernels import signature
from ephysfit.kernels.generate import kernel
from ephysfit.kernels.threads import share
from ephysfit.kernels.tiles import Layout, Lists, arrange, lanes_for
from ephysfit.kernels.variant import Variant
from ephysfit.neuron.declare import Neuron, cellwise
from ephysfit.neuron.numeric_coefficients import compute_coefficients
from ephysfit.neuron.plan import plan
from ephysfit.neuron.step_kinds import refractory_steps
from ephysfit.simulation.surrogate import Surrogate

#: sharpness and offset (mV) of a noise-free readout, one for all rows or one per trial
Sharpen = tuple[float, float] | tuple[np.ndarray, np.ndarray]

#: steps between checkpoints
SEGMENT = 128


@dataclass(frozen=True, eq=False)
class KernelCall:
    """Arrays of one call, laid out for kernels; `current` is (source, input, time), lists and thresholds likewise.

    `run` and `run_back` take every row from its first step to its last, in one piece.
    """

    neuron: type[Neuron]
    layout: Layout
    element: str
    dt: float
    current: np.ndarray
    coefs: np.ndarray
    refractory: np.ndarray
    lists: Lists
    thresholds: np.ndarray
    spikes: str
    coef_cells: int
    part: int = 0

    @property
    def steps(self) -> int:
        return int(self.current.shape[-1])

    @property
    def segment(self) -> int:
        """Steps between checkpoints: more for very long records, so that checkpoints stay small; `part` where given."""
        if self.part:
            return self.part
        longer = 2 ** max(0, int(np.ceil(np.log2(max(1, self.steps / 1_000_000)))))
        return min(SEGMENT * longer, 4096)

    @property
    def parts(self) -> int:
        return -(-self.steps // self.segment)

    @classmethod
    def of(
        cls,
        neuron: Neuron,
        current: Any,
        dt: float,
        *,
        thresholds: Any = None,
        forced: Any = None,
        targets: Lists | None = None,
        dtype: Any = np.float64,
        coefs: np.ndarray | None = None,
        lanes: int | None = None,
    ) -> Self:
        """Check and lay out; `coefs` (cell, coefficient) saves computing them again."""
        if thresholds is not None and forced is not None:
            raise SimulationError(
                "thresholds and forced spikes exclude each other: noise draws the spikes or they are replayed"
            )
        element = _element(dtype)
        drive = _current(neuron, current)
        lists = targets
        if forced is not None:
            lists = forced if isinstance(forced, Lists) else Lists.of(_array(forced), drive.shape[-1])
        drawn = None if thresholds is None else np.asarray(_array(thresholds))
        shapes = [current_axes(current), lists.shape if lists else (1, 1)]
        shapes.append((1, 1) if drawn is None else (drawn.shape[0], drawn.shape[1]))
        if drawn is not None:
            lanes = lanes or lanes_for(element, 1000)  # noisy runs are many; a causal one shares their kernel
        layout = arrange(cellwise(neuron), shapes, 2, element, lanes)
        if coefs is None:
            coefs = compute_coefficients(neuron, dt)
        cell = layout.cell * (coefs.shape[0] > 1)
        held = refractory_steps(neuron, dt)
        return cls(
            neuron=type(neuron),
            layout=layout,
            element=element,
            dt=float(dt),
            current=drive,
            coefs=np.ascontiguousarray(coefs.astype(element)[cell].T).reshape(-1),
            refractory=held[cell].astype(np.int32),
            lists=lists or Lists(np.zeros(2, np.int64), np.zeros(0, np.int64), (1, 1)),
            thresholds=np.zeros((1, 1)) if drawn is None else np.ascontiguousarray(drawn.reshape(-1, drawn.shape[-1])),
            spikes="drawn" if drawn is not None else "own" if forced is None else "forced",
            coef_cells=coefs.shape[0],
        )

    def numbers(self, sharpen: Sharpen | None = None, tau: float = np.inf, width: float = 1.0) -> np.ndarray:
        """What kernels read: dt, decay of the van Rossum trace, surrogate width; with noise beta, offset per lane."""
        common = [self.dt, np.exp(-self.dt / tau), width]
        if sharpen is None or self.spikes != "drawn":
            return np.array(common)
        trial = self.layout.row % self.layout.trials
        return np.concatenate([common, *(np.broadcast_to(np.float64(s), self.layout.trials)[trial] for s in sharpen)])

    @property
    def states(self) -> int:
        return len(plan(self.neuron).states)

    def run(
        self,
        *,
        save: tuple[int, ...] = (),
        keep: bool = False,
        tau: float | None = None,
        sharpen: Sharpen = (1.0, 0.0),
        escape: bool = False,
        start: tuple[np.ndarray, np.ndarray] | None = None,
        since: int = 0,
    ) -> KernelResult:
        """The kernel over all tiles, from rest or from `start` = (states, end of refractoriness) of every lane."""
        trace, rows = tau is not None, self.refractory.size
        variant = self.variant(trace=trace, escape=escape, keep=keep, save=save, resume=start is not None)
        go = kernel(self.neuron, "forward", variant)
        slots, room = self.states + trace, self._room()
        checkpoints = np.empty(self.parts * slots * rows * keep, self.element)
        refractory_until = np.empty(self.parts * rows * keep, np.int32)
        final, final_until = np.empty((slots, rows), self.element), np.empty(rows, np.int32)
        saved = np.empty((rows, len(save), self.steps), self.element)
        states, start_until = start or (np.zeros((1, 1), self.element), np.zeros(1, np.int32))
        given = {"numbers": self.numbers(sharpen, tau or np.inf), **self.row(), "since": since,
                 "drawing": self.layout.sources[2], "thresholds": self.thresholds,
                 "start": states.reshape(-1), "awake": start_until}  # fmt: skip
        while True:
            events, counts, loss = np.empty((rows, room), np.int32), np.zeros(rows, np.int64), np.zeros(rows)
            arguments = signature.arrange_arguments(
                "forward", **given, events=events, counts=counts, kept=checkpoints, woken=refractory_until, loss=loss,
                saved=saved, final=final.reshape(-1), asleep=final_until,
            )  # fmt: skip
            work = rows * (self.steps - since)
            share(partial(apply_tiles, go, arguments, self.scratch("forward")), self.layout.tiles, work)
            if counts.max(initial=0) <= room:
                return KernelResult(
                    self, events, counts, checkpoints, refractory_until, loss, saved, final, final_until
                )
            room = int(counts.max())

    def run_back(
        self,
        result: KernelResult,
        *,
        source: str,
        surrogate: Surrogate,
        detach: bool,
        tau: float | None,
        dense: Any,
        drive: bool,
        later: np.ndarray | None = None,
        first: np.ndarray | None = None,
        steps: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The reverse kernel: gradients with respect to coefficients, current and the states a row begins with.

        They are (coefficient, lane), (lane, input, time) and (state, lane). `later` holds the derivatives with respect
        to the states after the last step; lanes with ``first`` 1 begin at rest.
        """
        trace, rows, inputs = tau is not None, self.refractory.size, self.current.shape[1]
        variant = self.variant(
            trace=trace, source=source, window=surrogate.shape, detach=detach, drive=drive, resume=later is not None
        )
        go = kernel(self.neuron, "reverse", variant)
        none = np.zeros(1, self.element)
        gradient = np.empty((self.coefs.size // rows, rows))
        driven = np.empty((rows * drive, inputs, self.steps), self.element)
        earlier = np.empty((self.states + trace, rows), self.element)
        asked = none.reshape(1, 1, 1) if dense is None else dense.reshape(-1, 1, self.steps)
        numbers = self.numbers(tau=tau or np.inf, width=surrogate.width)
        given = {"numbers": numbers, **self.row(), "steps": steps or self.steps}
        arguments = signature.arrange_arguments(
            "reverse", **given, own=self.layout.row, dense=asked, dense_flat=asked.reshape(-1),
            kept=result.checkpoints, woken=result.refractory_until, later=none if later is None else later.reshape(-1),
            first=none if first is None else first, earlier=earlier.reshape(-1), gradient=gradient, driven=driven,
        )  # fmt: skip
        work = 4 * rows * (steps or self.steps)
        share(partial(apply_tiles, go, arguments, self.scratch("reverse")), self.layout.tiles, work)
        return gradient, driven, earlier

    def variant(self, **options: Any) -> Variant:
        """The kernel variant of this problem's layout."""
        return Variant(
            element=self.element, lanes=self.layout.lanes, shared=self.layout.shared, spikes=self.spikes, **options
        )

    def row(self) -> dict[str, Any]:
        """What every kernel over tiles reads of its rows: coefficients, currents and lists, and where they are."""
        source, marked, _ = self.layout.sources
        return {
            "steps": self.steps, "segment": self.segment, "coefs": self.coefs, "refractory": self.refractory,
            "source": source, "current": self.current, "current_flat": self.current.reshape(-1),
            "marked": marked, "begin": self.lists.begin, "at": self.lists.at,
        }  # fmt: skip

    def scratch(self, kernel: str) -> Callable[[], tuple]:
        """Makes the memory of one call of a kernel."""
        return partial(
            signature.scratch, kernel, self.element, segment=self.segment, lanes=self.layout.lanes,
            inputs=self.current.shape[1], states=self.states, coefs=self.coefs.size // self.refractory.size,
        )  # fmt: skip

    def _room(self) -> int:
        """Events a row may have before the run is repeated with more room: as many as fit, at most about 250 per s."""
        most = self.steps // (int(self.refractory.min()) + 1) + 1
        return max(1, min(most, int(0.25 * self.steps * self.dt) + 16))


@dataclass(frozen=True, eq=False)
class KernelResult:
    """Raw arrays of a forward run, by lane; `kept` and `woken` are checkpoints, `stretches` a run taken in pieces."""

    problem: KernelCall
    lane_events: np.ndarray
    lane_counts: np.ndarray
    checkpoints: np.ndarray
    refractory_until: np.ndarray
    loss: np.ndarray
    saved: np.ndarray
    final: np.ndarray
    final_refractory_until: np.ndarray
    parts: tuple[KernelResult, KernelResult] | None = None

    @property
    def begin(self) -> np.ndarray:
        """Where each row's events begin in `at`."""
        return np.concatenate([[0], np.cumsum(self.lane_counts[self.problem.layout.lane])])

    @property
    def at(self) -> np.ndarray:
        lane = self.problem.layout.lane
        inside = np.arange(self.lane_events.shape[1]) < self.lane_counts[lane][:, None]
        return self.lane_events[lane][inside].astype(np.int64)

    def raster(self) -> np.ndarray:
        """Zeros and ones, (cell, trial, time)."""
        layout, steps = self.problem.layout, self.problem.steps
        return raster(self.begin, self.at, steps).reshape(layout.cells, layout.trials, steps)

    def refuse_bad_input(self) -> None:
        """Refuse a state that is not finite at the end, and name the current if it is the cause."""
        if np.isfinite(self.final).all():
            return
        bad = np.argwhere(~np.isfinite(self.problem.current))
        if bad.size:
            row, _, at = bad[0]
            raise SimulationError(
                f"current of row {row} is not finite at step {at} ({len(bad)} such samples); "
                f"cut the sweep to where the stimulus is known"
            )


def raster(begin: np.ndarray, at: np.ndarray, steps: int) -> np.ndarray:
    out = np.zeros((len(begin) - 1, steps), np.uint8)
    out[np.repeat(np.arange(len(begin) - 1), np.diff(begin)), at] = 1
    return out


def apply_tiles(go: Any, arguments: tuple, memory: Callable[[], tuple], lo: int, hi: int) -> None:
    """One call of a kernel over tiles lo to hi."""
    go(lo, hi, *arguments, *memory())


def _element(dtype: Any) -> str:
    name = str(dtype).removeprefix("torch.") if "torch" in str(dtype) else np.dtype(dtype).name
    if name not in ("float32", "float64"):
        raise SimulationError(f"dtype {name} is not compiled; use float32 or float64")
    return name


def _array(x: Any) -> Any:
    return x.detach().cpu().numpy() if hasattr(x, "detach") else x


def current_axes(current: Any) -> tuple[int, int]:
    """(cell, trial) of a current."""
    return int(current.shape[0]), int(current.shape[1])


def _current(neuron: Neuron, current: Any) -> np.ndarray:
    """(source, input, time), without a copy where memory allows."""
    a = np.asarray(_array(current))
    inputs = len(plan(type(neuron)).inputs)
    if a.ndim not in (3, 4):
        raise SimulationError(f"current has {a.ndim} axes; it needs (cell, trial, time) or (cell, trial, time, input)")
    if (a.shape[3] if a.ndim == 4 else 1) != inputs:
        raise SimulationError(f"{type(neuron).__name__} has {inputs} inputs; current has shape {a.shape}")
    if a.dtype not in (np.float32, np.float64):
        a = a.astype(np.float64)
    a = a[:, :, None] if a.ndim == 3 else np.moveaxis(a, 3, 2)
    return np.ascontiguousarray(a.reshape(-1, inputs, a.shape[-1]))
