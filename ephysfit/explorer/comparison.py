"""Render the numbers of the page: tiles, the sentence above the plots, the comparison of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import isnan

from ephysfit.data.readout import Readout
from ephysfit.explorer.session import FITTING, Session
from ephysfit.metrics.headline_scores import AGREEMENT, COINCIDENCE, RATIO
from ephysfit.neuron.declare import Neuron
from ephysfit.reports.tables import format_percent, format_score

#: name of a score → its label, a note, and whether higher is better
LABELS: dict[str, tuple[str, str, bool | None]] = {
    RATIO.name: (RATIO.label, "1: as the cell itself", True),
    COINCIDENCE.name: (COINCIDENCE.label, "no repeats: ceiling unknown", True),
    AGREEMENT.name: (AGREEMENT.label, f"{Readout.NOISY}, best 1", True),
    "predicted": ("spikes predicted", "within ±4 ms", True),
    "extra": ("extra spikes", "best 0 %", False),
}


def format_number(name: str, value: float) -> str:
    """Format a score of a response."""
    return format_percent(value) if name in ("predicted", "extra") else format_score(value, 2)


def render_tiles(numbers: Mapping[str, float]) -> str:
    """Render the scores as tiles."""
    cells = [
        (format_number(name, numbers[name]), label, note)
        for name, (label, note, _) in LABELS.items()
        if name in numbers and not (isnan(numbers[name]) and name == AGREEMENT.name)
    ]
    cells.append((f"{numbers['rate_model_hz']:.1f} / {numbers['rate_data_hz']:.1f}", "rate in Hz", "model / cell"))
    body = "".join(
        f'<div class="tile"><b>{value}</b><span>{label}</span><small>{note}</small></div>'
        for value, label, note in cells
    )
    return f'<div class="tiles">{body}</div>'


def describe_session(session: Session) -> str:
    """Describe in one sentence what the page shows."""
    stimulus = session.stimulus
    assert stimulus is not None
    start, stop = (t / 1e3 for t in stimulus.window)
    role = session.role(stimulus)
    remark = {"held out": "not used by the fit", "training": "<b>used by the fit</b>",
            "partly training": "<b>partly used by the fit</b>"}.get(role, "")  # fmt: skip
    if session.now.label.startswith(FITTING):
        remark += f"{'; ' if remark else ''}the best step so far"
    return (
        f"<b>{escape(session.now.label)}</b> on <b>{escape(stimulus.name)}</b>"
        + (f" ({remark})" if remark else "")
        + f". Scored {start:g} to {stop:g} s."
    )


def render_skipped(skipped: Sequence[tuple[str, str]]) -> str:
    """Render the files that could not be read, each with the reason."""
    if not skipped:
        return ""
    lines = "".join(f"<li><b>{escape(name)}</b>: {escape(why)}</li>" for name, why in skipped)
    many = f"{len(skipped)} files" if len(skipped) > 1 else "1 file"
    head = f"{many} skipped, because {'they' if len(skipped) > 1 else 'it'} cannot be read"
    return f'<details class="message"><summary>{head}</summary><ul>{lines}</ul></details>'


def render_progress(stage: str, fraction: float) -> str:
    """Render a progress bar with the name of the stage."""
    width = 100 * min(max(fraction, 0.0), 1.0)
    return f'<p class="message">fitting: {escape(stage)}</p><div class="bar"><i style="width:{width:.0f}%"></i></div>'


def render_comparison(rows: Sequence[tuple[str, Neuron, Mapping[str, float]]], where: str) -> str:
    """Render the table of compared models; the best value of each column is bold."""
    names = [n for n in LABELS if any(n in numbers for _, _, numbers in rows)]
    best = {n: _find_best([numbers.get(n, float("nan")) for _, _, numbers in rows], LABELS[n][2]) for n in names}
    head = "".join(f'<th class="n">{LABELS[n][0]}</th>' for n in names)
    lines = []
    for k, (label, neuron, numbers) in enumerate(rows):
        cells = "".join(
            f'<td class="n">{"<b>" if best[n] == k else ""}{format_number(n, numbers.get(n, float("nan")))}'
            f"{'</b>' if best[n] == k else ''}</td>"
            for n in names
        )
        count = sum(p.size for p in type(neuron).parameters.values() if not p.measured)
        lines.append(f'<tr><td>{escape(label)}</td><td class="n">{count}</td>{cells}</tr>')
    return (
        f'<h2>Compared on {escape(where)}</h2><div class="scroll"><table class="compared"><thead><tr><th>model</th>'
        f'<th class="n">numbers</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _find_best(values: Sequence[float], more: bool | None) -> int:
    known = [k for k, v in enumerate(values) if not isnan(v)]
    if len(known) < 2:
        return -1
    return (max if more else min)(known, key=lambda k: values[k])
