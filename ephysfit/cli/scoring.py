"""Scores of every readout of a fitted cell, computed and shown once for `fit` and `score`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ephysfit.cli.output import note, say

if TYPE_CHECKING:
    from ephysfit.data.recording import Recording
    from ephysfit.fitting.fit import Fit
    from ephysfit.metrics.score import Score
    from ephysfit.simulation.simulate import Simulation


def readouts(simulation: Simulation) -> dict[str, Simulation]:
    """The simulation and its companions by name, the main one first: noisy, causal, consensus; or threshold."""
    return {simulation.readout.split()[0]: simulation, **simulation.companions}


def scores(simulation: Simulation, test: Recording) -> dict[str, Score]:
    """The score of every readout."""
    from ephysfit.metrics.score import score

    return {name: score(run, test) for name, run in readouts(simulation).items()}


def to_dict(fit: Fit, found: dict[str, Score]) -> dict[str, Any]:
    """Scores as plain values, by readout."""
    return {"cell": fit.cell, "model": fit.model, "readouts": {name: s.to_dict() for name, s in found.items()}}


def show(found: dict[str, Score]) -> None:
    """The table of the main readout, then a line for each other that simulates."""
    main, *others = found.items()
    say(str(main[1]))
    for name, score in others:
        if name != "consensus":  # its line stands in the main table
            say(_line(name, score))


def _line(name: str, score: Score) -> str:
    rows = [r for r in score.rows if r.metric == "gamma_over_R"]
    values = "   ".join(f"Γ/R ±{r.name.rpartition('_')[2]} ms {r.value:.3f}" for r in rows)
    return f"{name} run (one noise-free simulation)   {values}   rate {score.rate_model_hz:.2f} Hz"


def cautions(fit: Fit) -> None:
    """What to know before trusting the numbers."""
    for warning in fit.warnings:
        note(f"! {warning}")
