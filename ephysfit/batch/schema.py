"""The tables of a run: every column with its unit and meaning, as `collect` writes and the documentation lists them."""

from __future__ import annotations

from dataclasses import dataclass

from ephysfit.metrics.score_warnings import MIN_RELIABILITY

#: version of the tables; it goes up when a column changes its meaning or is removed
VERSION = 2


@dataclass(frozen=True)
class Column:
    """One column: name, kind ("text", "number", "count" or "flag"), unit, meaning."""

    name: str
    kind: str
    unit: str
    doc: str


FITS = (
    Column("cell", "text", "", "name of the cell in the batch"),
    Column("model", "text", "", "model that was requested"),
    Column("fitted", "text", "", 'neuron that was fitted; the choice of "auto"'),
    Column("status", "text", "", "done, failed (bad data), crashed or timeout"),
    Column("reason", "text", "", "why there is no fit"),
    Column("ended", "text", "", "status of the last stage of the fit"),
    Column("train_spikes", "count", "", "recorded spikes in the training data"),
    Column("test_spikes", "count", "", "recorded spikes in the scored test data"),
    Column("repeats", "count", "", "repeats of the test stimulus"),
    Column("train_ms", "number", "ms", "length of the training data"),
    Column("test_ms", "number", "ms", "length of the test data"),
    Column("nll", "number", "nats", "negative log-likelihood per training spike"),
    Column("reliability_4", "number", "", "R: mean coincidence of the cell's own repeats, ±4 ms"),
    Column("gamma_over_R_4", "number", "", f"Γ/R of the noise-free run, ±4 ms; empty where R < {MIN_RELIABILITY:g}"),
    Column("consensus_over_R_4", "number", "", "Γ/R of the consensus prediction, ±4 ms; empty likewise"),
    Column("md_star_4", "number", "", "Md* of the noisy runs (of the single run of a neuron without noise), ±4 ms"),
    Column("md_star_8", "number", "", "the same, ±8 ms"),
    Column("gamma_4", "number", "", "Γ of the noise-free run, ±4 ms: needs no repeats"),
    Column("ev_ratio_10", "number", "", "explained over explainable variance, smoothed with a Gaussian of 10 ms"),
    Column("rate_error", "number", "", "(model - recorded) / recorded rate, of the noisy runs"),
    Column("warnings", "text", "", "warnings of the fit, one per line"),
    Column("seconds", "number", "s", "wall time of the task"),
    Column("cpu_seconds", "number", "s", "processor time of the task"),
    Column("memory_mb", "number", "MiB", "peak memory of its worker so far"),
    Column("finished", "number", "s", "end of the task, seconds since 1970"),
    Column("host", "text", "", "machine that ran the task"),
    Column("version", "text", "", "version of ephysfit"),
    Column("files", "text", "", "file names of the recording"),
    Column("data_sha256", "text", "", "hash of the fitted currents, steps and spike times"),
    Column("key", "text", "", "hash of files, settings, model and version, which decides whether a result is valid"),
    Column("seed", "count", "", "random seed"),
    Column("schema", "count", "", "version of these tables"),
)
SCORES = (
    Column("cell", "text", "", "as in fits"),
    Column("model", "text", "", "as in fits"),
    Column("readout", "text", "", "noisy runs, causal run, consensus or threshold run"),
    Column("name", "text", "", "metric with its window"),
    Column("metric", "text", "", "name of the metric's record"),
    Column("value", "number", "", "the score; empty where it is undefined"),
    Column("error", "number", "", "standard error over repeats"),
    Column("ceiling", "number", "", "score that the cell itself reaches"),
    Column("best", "number", "", "score of a perfect match"),
)
PARAMETERS = (
    Column("cell", "text", "", "as in fits"),
    Column("model", "text", "", "as in fits"),
    Column("fitted", "text", "", "as in fits"),
    Column("name", "text", "", "parameter; elements of a bank are numbered"),
    Column("value", "number", "", "value in its unit"),
    Column("unit", "text", "", "ms, mV, pA, pF, nS and products of them"),
    Column("standard_error", "number", "", "standard error, where the fit has one"),
)
CARDS = (
    Column("cell", "text", "", "as in fits"),
    Column("model", "text", "", "as in fits"),
    Column("fitted", "text", "", "as in fits"),
    Column("name", "text", "", "measure of the card, docs/card.md"),
    Column("unit", "text", "", "of the values"),
    Column(
        "value",
        "number",
        "",
        "of the cell, from its training sweeps, or from all sweeps where training files are named; or empty",
    ),
    Column("low", "number", "", "lower end of its 95 % interval"),
    Column("high", "number", "", "upper end"),
    Column("sweeps", "count", "", "pulses or sweeps it rests on"),
    Column("how", "text", "", "how it was measured"),
    Column("why_missing", "text", "", "why there is no value"),
    Column("model_value", "number", "", "of the fitted neuron on the same sweeps, or on standard pulses"),
    Column("ratio", "number", "", "model over cell; empty for potentials, which have no natural zero"),
)
TABLES = {"fits": FITS, "scores": SCORES, "parameters": PARAMETERS, "cards": CARDS}
