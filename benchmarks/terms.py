"""Would AIGIF with one more term predict better? Tried on held-out blocks of training data, never on test files.

    python benchmarks/terms.py                        # all terms, all training files that are there
    python benchmarks/terms.py --terms gain,reset --cells DRN164 --folds 0
    python benchmarks/terms.py --table                # run nothing, show what is done
    python benchmarks/terms.py --write                # the table between its marks in docs/terms.md

A fold holds out a quarter of the training noise in four blocks. AIGIF is fitted to the rest as a default fit does it;
each richer neuron then climbs from there under the same prior, and once more from the declared start. Compared are the
held-out negative log-likelihood (nats per spike, the rate kept between 1e-4 and 5 per ms) and how well noisy
free runs hit the held-out spikes (2 n_dm / (n_dd + n_mm) with n_dd set to three quarters of the spikes, as in `Search`:
a training stimulus is recorded once, so this is no Md*, but moves with it). What is done is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import ephysfit as ef
from ephysfit.data.recording import Recording
from ephysfit.errors import near
from ephysfit.fitting.chain import one_thread
from ephysfit.fitting.ensemble import bounded_loss
from ephysfit.fitting.free_run.evaluation import FreeRunEvaluation
from ephysfit.fitting.free_run.losses import Coincidence
from ephysfit.fitting.stage import Estimate, Problem
from ephysfit.fitting.stages.likelihood import Likelihood, _LikelihoodClimb
from ephysfit.models.aigif import AIGIF, AIGIFBanks
from ephysfit.neuron.declare import Neuron, Parameter, State, flatten, unflatten
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.functions import exp, sigmoid, softplus
from ephysfit.simulation.replay import Replay

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accuracy import ROOT, _between, markdown, plain, store

#: training files; only the training half of each recording is ever opened here
CELLS = ("DRN158", "DRN162", "DRN163", "DRN164")
FOLDS = 4
#: noisy runs that are compared with the held-out spikes
RUNS = 100


@dataclass(frozen=True)
class Term:
    """One more term: what it is, what it declares, and where it enters.

    Attributes
    ----------
    doc : str
    declared : mapping
        Parameters and states by name; starts are where the term does nothing (or next to nothing).
    """

    doc: str
    declared: dict[str, Parameter | State]


def _weight(unit: str, doc: str, size: int, width: float = 1.0, limit: float = 60.0) -> Parameter:
    return Parameter(unit, -limit, limit, doc, (0.0,) * size if size > 1 else 0.0, size=size, width=width)


TERMS: dict[str, Term] = {
    "gain": Term("a spike changes the gain of the current bank: R K exp(-sum kappa_j H_j)", {
        "kappa": _weight("1", "loss of gain after a spike", 7, 0.3, 3.0)}),
    "reset": Term("a spike resets the threshold filters: y -> (1 - rho) y", {
        "rho": Parameter("1", -1.0, 1.0, "share that a spike takes away", (0.0,) * 3, size=3, width=0.5)}),
    "inactivated": Term("a spike inactivates the A-type channels: n -> (1 - nu) n, A -> (1 - alpha) A", {
        "nu": Parameter("1", -1.0, 1.0, "share inactivated", 0.0, width=0.5),
        "alpha": Parameter("1", -1.0, 1.0, "share of the open ones closed", 0.0, width=0.5)}),
    "feedback": Term("the A-type current sees the potential that it shapes, not the drive alone", {}),
    "saturation": Term("the rate saturates: u -> u_s - ln(1 + exp(u_s - u))", {
        "u_s": Parameter("mV", -6.0, 30.0, "where the rate saturates", 5.0, width=2.0)}),
    "floor": Term("a floor under the rate, spikes that nothing explains: u -> u_f + ln(1 + exp(u - u_f))", {
        "u_f": Parameter("mV", -16.0, -2.0, "where the rate levels off below", -9.0, width=2.0)}),
    "slow": Term("threshold and drive adapt over 5 and 20 s to spikes and over 1 and 5 s to current", {
        "gamma_s": _weight("mV", "slow shift of the threshold", 2, 0.3),
        "R_s": _weight("mV", "slow effect of the current", 2, 1.0),
        "G": State("1", doc="slow spike traces", size=2), "L": State("1", doc="slow current", size=2)}),
    "second A": Term("a second A-type current with gates of its own", {
        "g_B": _weight("mV", "its strength", 1, 3.0),
        "v_mB": Parameter("mV", -30.0, 30.0, "half-activation", 0.0, width=1.5),
        "k_mB": Parameter("1/mV", 0.05, 20.0, "steepness of activation", 1.0, width=1.0),
        "v_nB": Parameter("mV", -30.0, 30.0, "half-inactivation", -1.0, width=1.5),
        "k_nB": Parameter("1/mV", 0.05, 20.0, "steepness of inactivation", 1.0, width=1.0),
        "tau_nB": Parameter("ms", 1.0, 2000.0, "time constant of inactivation", 20.0, width=1.0),
        "tau_B": Parameter("ms", 0.5, 500.0, "time constant of its effect", 20.0, width=1.0),
        "nB": State("1", doc="availability"), "B": State("1", doc="open share")}),
    "rectified": Term("a second current bank, driven by the upper half of the current only", {
        "R_p": _weight("mV", "its weights", 4, 1.0),
        "p_0": Parameter("1", -3.0, 3.0, "where it begins", 0.0, width=0.5),
        "P": State("1", doc="rectified current, filtered", size=4)}),
    "amplified": Term("depolarisation amplifies itself (persistent inward current), fast and slow", {
        "g_D": _weight("1", "strength", 2, 0.5, 10.0),
        "v_D": Parameter("mV", -30.0, 30.0, "where it begins", (0.0, 0.0), size=2, width=1.5),
        "s_D": Parameter("1/mV", 0.05, 20.0, "sharpness", (1.0, 1.0), size=2, width=1.0),
        "tau_D": Parameter("ms", 0.5, 2000.0, "time constants", (8.0, 60.0), size=2, width=1.0),
        "D": State("mV", doc="amplified part", size=2)}),
    "shape": Term("learned monotone threshold shape: two saturating filters beside the three softplus ones", {
        "c_z": _weight("mV", "strength", 2, 1.0),
        "v_z": Parameter("mV", -30.0, 30.0, "middle", (0.0, -2.0), size=2, width=1.5),
        "s_z": Parameter("1/mV", 0.05, 20.0, "steepness", (1.0, 1.0), size=2, width=1.0),
        "tau_z": Parameter("ms", 0.5, 2900.0, "time constants", (10.0, 100.0), size=2, width=1.0),
        "z": State("1", doc="saturating threshold filters", size=2)}),
}  # fmt: skip
_SLOW_SPIKES, _SLOW_CURRENT, _RECTIFIED = (5000.0, 20000.0), (1000.0, 5000.0), (2.5, 10.0, 45.0, 200.0)


def neuron(*terms: str) -> type[Neuron]:
    """AIGIF with some more terms, as a declaration: any number of them, in any order."""
    on = frozenset(terms)
    body: dict[str, Any] = {**AIGIFBanks.parameters, **AIGIFBanks.states}
    for t in TERMS:
        body |= TERMS[t].declared if t in on else {}
    body |= {"hold": (), "drifts": AIGIFBanks.drifts, "__doc__": "AIGIF and " + ", ".join(sorted(on)),
             "alternatives": AIGIFBanks.alternatives, "hazard": AIGIFBanks.hazard}  # fmt: skip
    body |= {"flow": _flow(on), "margin": _margin(on), "jump": _jump(on)}
    made = type("AIGIF_" + "_".join(sorted(t.replace(" ", "") for t in on)), (Neuron,), body)
    return made.pin(made.__name__, made.__doc__ or "", **AIGIF.pinned)


def _drive(p: Any, x: Any, on: frozenset[str]) -> Any:
    into = (p.R * x.K).sum()
    if "gain" in on:
        into = into * exp(-(p.kappa * x.H).sum())
    if "slow" in on:
        into = into + (p.R_s * x.L).sum()
    if "rectified" in on:
        into = into + (p.R_p * x.P).sum()
    return into + (p.eta * x.H).sum()


def _potential(p: Any, x: Any, on: frozenset[str]) -> Any:
    v = _drive(p, x, on) - p.g_A * x.A
    if "second A" in on:
        v = v - p.g_B * x.B
    return v + (p.g_D * x.D).sum() if "amplified" in on else v


def _flow(on: frozenset[str]) -> Callable[..., dict[str, Any]]:
    def flow(self: Any, x: Any, I: Any) -> dict[str, Any]:
        drive, v, heard = _drive(self, x, on), _potential(self, x, on), (I - self.I_0) / self.I_s
        seen = v if "feedback" in on else drive
        out = {
            "K": (heard - x.K) / self.tau_K,
            "H": -x.H / self.tau_H,
            "n": (sigmoid((self.v_n - seen) * self.k_n) - x.n) / self.tau_n,
            "A": (sigmoid((seen - self.v_m) * self.k_m) * x.n - x.A) / self.tau_A,
            "y": (softplus((v - self.v_y) * self.s_y) / self.s_y - x.y) / self.tau_y,
        }
        if "slow" in on:
            out["G"] = x.G * tuple_bank(-1 / t for t in _SLOW_SPIKES)
            out["L"] = (heard - x.L) * tuple_bank(1 / t for t in _SLOW_CURRENT)
        if "second A" in on:
            out["nB"] = (sigmoid((self.v_nB - drive) * self.k_nB) - x.nB) / self.tau_nB
            out["B"] = (sigmoid((drive - self.v_mB) * self.k_mB) * x.nB - x.B) / self.tau_B
        if "rectified" in on:
            out["P"] = (softplus((heard - self.p_0) * 2.0) / 2.0 - x.P) * tuple_bank(1 / t for t in _RECTIFIED)
        if "amplified" in on:
            out["D"] = (softplus((drive - self.v_D) * self.s_D) / self.s_D - x.D) / self.tau_D
        if "shape" in on:
            out["z"] = (sigmoid((v - self.v_z) * self.s_z) - x.z) / self.tau_z
        return out

    return flow


def tuple_bank(values: Iterable[float]) -> Any:
    """Constants as a bank."""
    from ephysfit.neuron.functions import Bank

    return Bank(tuple(values))


def _margin(on: frozenset[str]) -> Callable[..., Any]:
    def margin(self: Any, x: Any) -> Any:
        u = _potential(self, x, on) + (self.gamma * x.H).sum() - self.theta - (self.c * x.y).sum()
        if "slow" in on:
            u = u + (self.gamma_s * x.G).sum()
        if "shape" in on:
            u = u - (self.c_z * x.z).sum()
        if "floor" in on:
            u = self.u_f + softplus(u - self.u_f)
        return self.u_s - softplus(self.u_s - u) if "saturation" in on else u

    return margin


def _jump(on: frozenset[str]) -> Callable[..., dict[str, Any]]:
    def jump(self: Any, x: Any) -> dict[str, Any]:
        out = {"H": x.H + 1}
        if "slow" in on:
            out["G"] = x.G + 1
        if "reset" in on:
            out["y"] = x.y - x.y * self.rho
        if "inactivated" in on:
            out |= {"n": x.n * (1 - self.nu), "A": x.A * (1 - self.alpha)}
        return out

    return jump


@dataclass(frozen=True, eq=False)
class Fold(Problem):
    """A problem whose held-out blocks are the same quarter of every quarter of the recording."""

    fold: int = 0

    @cached_property
    def held_out(self) -> tuple[Any, ...]:
        out = []
        for mask in self.counted:
            chosen, where = np.zeros_like(mask), np.flatnonzero(mask)
            parts = np.array_split(where, FOLDS * FOLDS)
            for part in parts[self.fold :: FOLDS]:
                chosen[part] = True
            out.append(chosen)
        return tuple(out)


def training(cell: str) -> Recording:
    """The training noise of one cell; no test file is opened."""
    folder = next((ROOT.parent / "shared" / "data" / "raphe").glob(f"{cell}_*"))
    return ef.load(next(folder.glob("*training.abf")))


def measure(problem: Fold, base: Neuron | None) -> tuple[dict[str, Any], Neuron]:
    """Fit to the training blocks, and what it is worth on the held-out ones."""
    stage = Likelihood(held_out=True, starts=2)
    own = stage(problem, Estimate(problem.start()))
    cells = [own.neuron]
    if base is not None:
        climb = _LikelihoodClimb(stage, problem, problem.start())
        cells.append(climb(problem.neuron(**{**problem.start().values(), **base.values()}), climb.everything, 120)[0])
    scored = [value(problem, c) for c in cells]
    best = min(range(len(cells)), key=lambda k: scored[k]["penalised"])
    return {**scored[best], "start": ("declared", "AIGIF")[best]}, cells[best]


def value(problem: Fold, cell: Neuron) -> dict[str, Any]:
    """Negative log-likelihoods per spike and the agreement of noisy free runs with the held-out spikes."""
    free = FreeParameters.of(problem.neuron, smooth_only=True)
    replay, z = Replay(free, cell, problem.dt), free.to_vector(cell)
    out: dict[str, Any] = {}
    for name, sweeps in (("train", problem.train), ("held_out", problem.validate)):
        out[name] = -replay.value(z, sweeps) / max(sum(s.n_spikes for s in sweeps), 1)
    out["bounded"] = bounded_loss(cell, problem.validate, problem.dt)
    r = (free.place(cell) - free.place(problem.start())) / free.widths
    out["penalised"] = out["train"] + 0.5 * 1e-3 * float(r @ r)
    everything = FreeParameters.of(problem.neuron)
    for window in (4.0, 8.0):
        evaluation = FreeRunEvaluation(problem, everything, cell, Coincidence(window, rate=0.0), RUNS)
        train, held = evaluation.training_and_validation_losses(everything.to_vector(cell)[None])
        out[f"md_{window:.0f}"], out[f"md_{window:.0f}_train"] = 1 - float(held[0]), 1 - float(train[0])
    return out


def run(results: Path, cells: Sequence[str], tries: Sequence[str], folds: Sequence[int]) -> None:
    """Measure what is not there yet, one file each."""
    for fold in folds:
        for cell in cells:
            recording = training(cell)
            for name in ("", *tries):
                path = results / f"{cell}_{fold}_{name.replace(' ', '') or 'AIGIF'}.json"
                if path.exists():
                    continue
                kind = neuron(*name.split("+")) if name else AIGIF
                with one_thread():
                    row, fitted = measure(Fold(recording, kind, 0.5, fold=fold), _base(results, cell, fold, name))
                values = {k: float(v) for k, v in flatten(kind.parameters, fitted.values()).items()}
                store(path, {"cell": cell, "fold": fold, "term": name or "AIGIF", **row, "values": values})
                print(f"{cell} fold {fold} {name or 'AIGIF'}: {_brief(row)}", file=sys.stderr, flush=True)


def _base(results: Path, cell: str, fold: int, name: str) -> Neuron | None:
    if not name:
        return None
    saved = json.loads((results / f"{cell}_{fold}_AIGIF.json").read_text(encoding="utf-8"))
    return AIGIF(**unflatten(AIGIF.parameters, saved["values"]))


def _brief(row: dict[str, Any]) -> str:
    return f"train {row['train']:.3f}, held out {row['bounded']:.3f}, Md 4 {row['md_4']:.3f}, Md 8 {row['md_8']:.3f}"


HEAD = ("AIGIF with", "fits", "train", "held out", "held-out gain (s.e.)",
        "Md 4", "Md 8", "gain Md 8 (s.e.)", "better in")  # fmt: skip


def lines(results: Path) -> list[tuple[str, ...]]:
    """One row a term: means over cells and folds, and gains against AIGIF on the same cell and fold."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(results.glob("*.json"))]
    base = {(r["cell"], r["fold"]): r for r in rows if r["term"] == "AIGIF"}
    out = []
    for term in dict.fromkeys(["AIGIF", *TERMS, *(r["term"] for r in rows)]):
        mine = [r for r in rows if r["term"] == term]
        if not mine:
            continue
        own = [base[r["cell"], r["fold"]] for r in mine]
        means = [f"{np.mean([r[k] for r in mine]):.3f}" for k in ("train", "bounded", "md_4", "md_8")]
        gain = np.array([b["bounded"] - r["bounded"] for r, b in zip(mine, own, strict=True)])
        hits = np.array([r["md_8"] - b["md_8"] for r, b in zip(mine, own, strict=True)])
        told = ("", "", "") if term == "AIGIF" else (_gain(gain), _gain(hits), f"{(gain > 0).sum()} of {len(gain)}")
        out.append((term, str(len(mine)), *means[:2], told[0], *means[2:], told[1], told[2]))
    return out


def _gain(values: Any) -> str:
    error = f" ({values.std(ddof=1) / np.sqrt(len(values)):.3f})" if len(values) > 1 else ""
    return f"{values.mean():+.3f}{error}"


def write(results: Path) -> None:
    """The table of tries between its marks in docs/accuracy.md."""
    page = ROOT / "docs" / "terms.md"
    text = _between(page.read_text(encoding="utf-8"), "terms", markdown(HEAD, lines(results)))
    page.write_text(text, encoding="utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--terms", default=",".join(TERMS), help="comma between; gain+reset for both at once")
    options.add_argument("--cells", default=",".join(CELLS))
    options.add_argument("--folds", default="0,1,2,3")
    options.add_argument("--results", type=Path, default=ROOT / "build" / "terms", help="folder of what is done")
    options.add_argument("--table", action="store_true", help="run nothing, show what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write the table into docs/terms.md")
    given = options.parse_args()
    if given.write:
        return write(given.results)
    if not given.table:
        tries = [t for t in given.terms.split(",") if t]
        for t in {part for name in tries for part in name.split("+")} - set(TERMS):
            raise SystemExit(f"no term {t!r}; {near(t, TERMS)}")
        run(given.results, given.cells.split(","), tries, [int(f) for f in given.folds.split(",")])
    print(plain(HEAD, lines(given.results)))


if __name__ == "__main__":
    main()
