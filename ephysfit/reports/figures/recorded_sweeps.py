"""Draw a recording as loaded: each sweep with current, voltage, spikes, spike shapes and masked stretches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.collections import LineCollection

from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import RecordingError
from ephysfit.files import replacing
from ephysfit.reports.figures.style import (
    CURRENT,
    GRID,
    INK,
    MISSED,
    MODEL,
    MUTED,
    draw_curve,
    fix_layout,
    label_seconds,
    make_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: sweeps on one page
PER_PAGE = 8
#: shapes of spikes: from before to after the onset, ms, and how many are drawn
BEFORE, AFTER, DRAWN = 2.0, 5.0, 150
SIDES = {"train": "trains", "test": "tests", "both": "its end tests"}


def draw_pages(recording: Recording, per_page: int = PER_PAGE) -> list[Figure]:
    """Draw all sweeps, `per_page` on each figure.

    Parameters
    ----------
    recording : Recording
    per_page : int
        Sweeps on one figure.

    Returns
    -------
    list of Figure
    """
    sides = _find_sides(recording)
    sweeps = recording.sweeps
    groups = [sweeps[k : k + per_page] for k in range(0, len(sweeps), per_page)]
    return [_draw_page(recording, group, sides, k, len(groups)) for k, group in enumerate(groups)]


def save_pages(figures: list[Figure], path: Path) -> list[Path]:
    """Write figures to one PDF of several pages, or to numbered image files; the files."""
    path = Path(path)
    if path.suffix.lower() == ".pdf":
        return [_save_pdf(figures, path)]
    several = len(figures) > 1
    names = [path.with_stem(f"{path.stem}_{k + 1:02d}") if several else path for k in range(len(figures))]
    for fig, name in zip(figures, names, strict=True):
        fix_layout(fig)
        with replacing(name) as beside:
            fig.savefig(beside, dpi=130)
    return names


def _save_pdf(figures: list[Figure], path: Path) -> Path:
    with replacing(path) as beside, PdfPages(beside) as book:
        for fig in figures:
            fix_layout(fig)
            book.savefig(fig)
    return path


def _find_sides(recording: Recording) -> dict[str, str]:
    try:
        parts = dict(zip(("train", "test"), recording.split(), strict=True))
    except RecordingError:
        return {}
    names = {side: {s.name for s in part.sweeps} for side, part in parts.items()}
    both = names["train"] & names["test"]
    return {n: SIDES["both"] if n in both else SIDES[side] for side, listed in names.items() for n in listed}


def _draw_page(recording: Recording, sweeps: tuple[Sweep, ...], sides: dict[str, str], page: int, of: int) -> Figure:
    fig = make_figure(11.0, 1.0 + 1.75 * len(sweeps))
    grid = fig.add_gridspec(2 * len(sweeps), 2, width_ratios=(5, 1), height_ratios=[3, 1] * len(sweeps))
    for k, sweep in enumerate(sweeps):
        voltage = style_axes(fig.add_subplot(grid[2 * k, 0]))
        current = style_axes(fig.add_subplot(grid[2 * k + 1, 0], sharex=voltage))
        shapes = style_axes(fig.add_subplot(grid[2 * k : 2 * k + 2, 1]))
        draw_voltage(voltage, sweep)
        draw_current(current, sweep)
        draw_spike_shapes(shapes, sweep)
        _label_sweep(voltage, sweep, sides.get(sweep.name, ""))
        if k < len(sweeps) - 1:
            current.set_xlabel("")
            shapes.set_xlabel("")
    rejected = f", {len(recording.rejected)} not used" if recording.rejected else ""
    number = f" · page {page + 1} of {of}" if of > 1 else ""
    summary = f"{len(recording)} sweeps{rejected}, {recording.n_spikes} spikes{number}"
    fig.suptitle(
        f"{recording.cell} · {recording.source} · {summary}",
        x=0.01, ha="left", fontsize=10.5, color=INK,
    )  # fmt: skip
    return fig


def _label_sweep(ax: Axes, sweep: Sweep, side: str) -> None:
    words = [
        sweep.name,
        sweep.stimulus if sweep.stimulus != sweep.name else "",
        f"{len(sweep.spike_times)} spikes",
        side,
    ]
    ax.set_title(" · ".join(filter(None, words)), loc="left", fontsize=8.5, color=INK, pad=3)
    remarks = [*sweep.warnings, *sweep.notes]
    if remarks:
        text = "; ".join(remarks)
        ax.set_title(f"! {text[:90]}{'…' if len(text) > 90 else ''}", loc="right", fontsize=7.5, color=MISSED, pad=3)


def draw_voltage(ax: Axes, sweep: Sweep) -> None:
    """Draw the voltage, mV, with the onset of every spike marked above it; masked stretches are shaded."""
    ticks = sweep.spike_times
    if sweep.voltage is None:
        ax.eventplot(ticks, lineoffsets=0, linelengths=0.8, colors=INK, linewidths=0.8)
        ax.set_yticks([])
        ax.set_ylim(-1, 1)
    else:
        draw_curve(ax, sweep.times, sweep.voltage, INK, lw=0.6)
        low, high = float(np.nanmin(sweep.voltage)), float(np.nanmax(sweep.voltage))
        top = high + 0.12 * max(high - low, 1.0)
        ax.plot(ticks, np.full(len(ticks), top), ls="", marker="|", color=MODEL, ms=5, mew=0.8)
        ax.set_ylim(low - 0.05 * max(high - low, 1.0), top + 0.1 * max(high - low, 1.0))
        ax.set_ylabel("mV")
    for start, stop in _find_invalid_stretches(sweep):
        ax.axvspan(start, stop, color=GRID, lw=0, zorder=0)
    ax.tick_params(labelbottom=False)


def draw_current(ax: Axes, sweep: Sweep) -> None:
    """Draw the injected current, pA."""
    draw_curve(ax, sweep.times, sweep.current, CURRENT, lw=0.7)
    ax.set_ylabel("pA")
    label_seconds(ax, 0.0, sweep.duration)


def draw_spike_shapes(ax: Axes, sweep: Sweep) -> None:
    """Draw the detected spikes on top of each other, aligned at their onsets."""
    ax.set_xlabel("from onset (ms)")
    ax.set_xlim(-BEFORE, AFTER)
    if sweep.voltage is None or not len(sweep.spike_times):
        reason = "no spikes" if sweep.voltage is not None else "no voltage"
        ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", fontsize=8, color=MUTED)
        ax.set_yticks([])
        return
    chosen = sweep.spike_times[:: max(len(sweep.spike_times) // DRAWN, 1)]
    t, before, after = sweep.times, round(BEFORE / sweep.dt), round(AFTER / sweep.dt)
    alpha = float(np.clip(4.0 / len(chosen) ** 0.7, 0.06, 0.8))
    shapes = []
    for onset in chosen:
        k = round(onset / sweep.dt)
        part = slice(max(k - before, 0), min(k + after, sweep.steps))
        shapes.append(np.stack([t[part] - onset, sweep.voltage[part]], axis=-1))
    ax.add_collection(LineCollection(shapes, colors=INK, linewidths=0.6, alpha=alpha))
    ax.autoscale_view(scalex=False)
    ax.axvline(0.0, color=MODEL, lw=0.8)


def _find_invalid_stretches(sweep: Sweep) -> list[tuple[float, float]]:
    """Find the stretches that are not valid, (start, stop) in ms."""
    if not sweep.valid:
        return []
    edges = [0.0, *(t for interval in sweep.valid for t in interval), sweep.duration]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(a, b) for a, b in pairs if b - a > sweep.dt / 2]
