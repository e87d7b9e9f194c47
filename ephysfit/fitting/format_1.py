"""Format 1 of saved fits, whose details were one dictionary of everything that stages reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from ephysfit.fitting.spike_counts import SpikeCounts
from ephysfit.fitting.stage_reports import (
    CausalRun,
    IntervalsReport,
    LikelihoodReport,
    PassiveReport,
    RefractoryReport,
    Report,
    SearchReport,
    SelectionReport,
    SoftnessReport,
)

#: reports whose fields stood in the details by their own names
FLAT: tuple[type[Report], ...] = (PassiveReport, LikelihoodReport, RefractoryReport, SoftnessReport, CausalRun)
#: reports that the details of a fit show
DETAILS: tuple[type[Report], ...] = (LikelihoodReport, CausalRun, SpikeCounts, SelectionReport, IntervalsReport)
#: fields of a likelihood that the details of a fit left to its history
_IN_HISTORY = ("curves", "at_bound", "steps")
#: what came later
_LATER = ("assumed",)


def upgrade_fit(found: Mapping[str, Any]) -> dict[str, Any]:
    """A fit of format 1 in the form of format 2; what is not as it was in format 1 is left for the check to refuse."""
    history = found.get("history")
    if isinstance(history, list):
        history = [
            {**stage, "reports": _reports_from_details(stage.get("details", {}))}
            if isinstance(stage, Mapping)
            else stage
            for stage in history
        ]
    out = {k: v for k, v in found.items() if k != "details"} | {"history": history}
    return out | ({"reports": _reports_from_details(found["details"])} if "details" in found else {})


def _reports_from_details(details: Any) -> Any:
    """Details as reports by kind."""
    if not isinstance(details, Mapping):
        return details
    out: dict[str, Any] = {}
    for kind in FLAT:
        mine = {f.name: details[f.name] for f in fields(kind) if f.name in details}
        searched = kind is LikelihoodReport and not {"standard_errors", "top"} & set(mine)
        if mine and not searched:
            out[kind.kind] = mine
    if "curves" in details and LikelihoodReport.kind not in out:
        names = {f.name for f in fields(SearchReport)}
        out[SearchReport.kind] = {k: v for k, v in details.items() if k in names}
    if "selection" in details:
        out[SelectionReport.kind] = {
            "candidates": details["selection"], "seconds": details.get("selection_seconds", 0.0),
            "why": details.get("why", ""),
        }  # fmt: skip
    if isinstance(details.get("intervals"), Mapping):
        errors = details.get("standard_errors", {})
        out[IntervalsReport.kind] = {"method": "", "level": 0.95, "standard_errors": errors, **details["intervals"]}
    return out | ({SpikeCounts.kind: details["counts"]} if "counts" in details else {})


def find_standard_errors(fit: Mapping[str, Any]) -> Mapping[str, Any]:
    """Standard errors by parameter of a fit in plain values of any format; empty where it has none."""
    found = upgrade_fit(fit) if fit.get("format", 1) == 1 else fit
    sides = [found.get("reports", {}), *(stage.get("reports", {}) for stage in reversed(found.get("history") or ()))]
    for kind in (IntervalsReport.kind, LikelihoodReport.kind):
        for reports in sides:
            if kind in reports:
                return dict(reports[kind].get("standard_errors", {}))
    return {}


def as_details(reports: Iterable[Report | None]) -> dict[str, Any]:
    """Reports of a fit as the details of format 1."""
    out: dict[str, Any] = {}
    for report in reports:
        match report:
            case None:
                continue
            case LikelihoodReport():
                out |= {k: v for k, v in report.to_dict().items() if k not in (*_IN_HISTORY, *_LATER)}
                out |= {"recent": report.recent, "voltage": out.get("voltage")}
            case SelectionReport():
                found = report.to_dict()
                out |= {"selection": found["candidates"], "selection_seconds": report.seconds, "why": report.why}
            case IntervalsReport():
                found = report.to_dict()
                out |= {"standard_errors": found.pop("standard_errors"), "intervals": found}
            case CausalRun():
                out["sharpen"] = report.sharpen
            case _:
                out[report.kind] = report.to_dict()
    return out
