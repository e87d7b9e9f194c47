"""`ephysfit status`: progress of a batch run."""

from __future__ import annotations

from ephysfit.batch.status import read_status
from ephysfit.cli import arguments
from ephysfit.cli.output import print_json, print_line, print_table


def status(run: arguments.RunFolder, json: arguments.JsonOption = False) -> None:
    """Show the progress of a batch run: tasks done, failed, running and left.

    It can be called from any shell that sees the folder of the run.

    Examples:

    ephysfit status run

    watch -n 5 ephysfit status run
    """
    now = read_status(run)
    if json:
        print_json({**vars(now), "counts": dict(now.counts), "left": now.left, "hours_left": now.hours_left})
        return
    ended = ", ".join(f"{n} {how}" for how, n in sorted(now.counts.items())) or "none ended"
    print_line(f"{now.total} tasks: {ended}, {len(now.running)} running, {now.left} left")
    if now.score == now.score:
        print_line(f"median Md* (±8 ms) {now.score:.2f}")
    if now.per_hour and now.left:
        print_line(f"{now.per_hour:.0f} per hour; {now.hours_left:.1f} hours left at that pace")
    if now.running:
        print_line("running: " + ", ".join(now.running[:8]) + (" ..." if len(now.running) > 8 else ""))
    if now.failures:
        print_table([{"task": t, "why": why[:160]} for t, why in now.failures], title="last without a fit")
