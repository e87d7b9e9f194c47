"""Several fits side by side: of one cell, on sweeps that none has used, with what differs between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ephysfit.cli.verbs.report import split_fits
from ephysfit.data.recording import Recording
from ephysfit.errors import ScoreError
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage_reports import CausalRun
from ephysfit.metrics.coincidence import gamma_over_reliability
from ephysfit.models.alif import ALIF
from ephysfit.reports.comparison_page import render_comparison
from ephysfit.reports.evidence import gather_evidence
from ephysfit.reports.fit_comparison import Comparison, compare_fits, describe_ranking, list_differences
from ephysfit.reports.one_page import draw_summary
from ephysfit.reports.report import report
from tests.reports.conftest import by_hand, cell
from tests.reports.page_reading import Page


@pytest.fixture(scope="module")
def fits() -> tuple[Fit, Fit]:
    known = by_hand(cell(), CausalRun((2.0, -1.0)))
    worse = by_hand(ALIF(**vars(cell()), d_theta=6.0, tau_a=60.0), CausalRun((2.0, -1.0)))
    return known, replace(worse, dt=1.0)


@pytest.fixture(scope="module")
def comparison(fits: tuple[Fit, Fit], test_recording: Recording) -> Comparison:
    return compare_fits(fits, test_recording, runs=40)


def test_the_cell_itself_leads(comparison: Comparison) -> None:
    assert comparison.order[0] == 0
    said = describe_ranking(comparison)
    assert said.startswith("A: LIF predicts best (Γ/R, ±4 ms: A: LIF")
    assert "paired over the same repeats" in said


def test_the_lead_and_its_error_are_a_jackknife_over_repeats(comparison: Comparison) -> None:
    one, other = comparison.evidence
    start, stop = one.scored
    data = [t[(t >= start) & (t < stop)] - start for t in one.repeats]
    trains = [[e.prediction[(e.prediction >= start) & (e.prediction < stop)] - start] for e in (one, other)]

    def apart(kept):
        a, b = (gamma_over_reliability(kept, t, stop - start, window=4.0) for t in trains)
        return a - b

    without = [apart([t for j, t in enumerate(data) if j != k]) for k in range(len(data))]
    n = len(data)
    lead, error = comparison.measure_lead()
    assert lead == pytest.approx(apart(data))
    assert error == pytest.approx(np.sqrt((n - 1) / n * np.sum((np.array(without) - np.mean(without)) ** 2)))


def test_what_differs_is_listed(comparison: Comparison, test_recording: Recording) -> None:
    assert "step: A 0.5 ms; B 1 ms" in list_differences(comparison)
    leaky = replace(comparison.evidence[1].fit.provenance, recording=test_recording.source,
                    sweeps=(test_recording.sweeps[0].name,), data_sha256="other")  # fmt: skip
    fit = replace(comparison.evidence[1].fit, provenance=leaky)
    found = list_differences(Comparison((comparison.first, replace(comparison.evidence[1], fit=fit)), comparison.names))
    assert "B: ALIF was fitted to sweeps that are tested here" in found[0]
    assert any(text.startswith("fitted to different data") for text in found)


def test_fits_of_two_cells_or_of_another_recording_are_refused(
    fits: tuple[Fit, Fit], test_recording: Recording
) -> None:
    with pytest.raises(ScoreError, match="two cells by their names"):
        compare_fits([fits[0], replace(fits[1], cell="DRN158", provenance=replace(fits[1].provenance, recording=""))],
                     test_recording)  # fmt: skip
    other = replace(test_recording, cell="DRN158", source="DRN158.nwb")
    with pytest.raises(ScoreError, match="another cell by its name"):
        compare_fits(fits, other)
    with pytest.raises(ScoreError, match="give two to 6"):
        compare_fits(fits[:1], test_recording)


def test_the_page_holds_the_scores_of_every_fit(comparison: Comparison) -> None:
    text = render_comparison(comparison)
    page = Page(text)
    assert not page.fetched
    assert len(page.ids) == len(set(page.ids))
    assert set(page.data()) == set(comparison.names)
    for e in comparison.evidence:
        assert f"{e.scores[e.single]['gamma_over_R_4']:.3f}" in " ".join(page.cells)
    assert "nan" not in page.text.lower().split()


def test_report_takes_several_fits_or_writes_a_summary(
    fits: tuple[Fit, Fit], test_recording: Recording, tmp_path
) -> None:
    assert report(fits, test_recording, tmp_path / "both.html").read_text(encoding="utf-8").count("B: ALIF") > 5
    made = report(fits[0], test_recording, tmp_path / "one.pdf")
    assert made.read_bytes().startswith(b"%PDF")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["both.html", "one.pdf"]
    with pytest.raises(ScoreError, match="of one fit"):
        report(fits, test_recording, tmp_path / "both.pdf")


def test_a_page_and_its_summary(fits: tuple[Fit, Fit], test_recording: Recording, tmp_path) -> None:
    made = report(fits[0], test_recording, tmp_path / "r.html", pdf=True)
    assert {p.suffix for p in tmp_path.iterdir()} == {".html", ".png", ".pdf"}
    assert made.suffix == ".html"


def test_the_summary_is_one_page_on_which_all_text_lies(fits: tuple[Fit, Fit], test_recording: Recording) -> None:
    fig = draw_summary(gather_evidence(fits[0], test_recording, runs=40))
    fig.canvas.draw()
    page = fig.bbox
    for text in fig.texts:
        box = text.get_window_extent()
        assert page.x0 <= box.x0, text
        assert box.x1 <= page.x1, text
        assert page.y0 <= box.y0, text
    assert "Can I use it?" in {t.get_text() for t in fig.texts}


def test_steps_decide_by_counts() -> None:
    from tests.reports.test_verdict import record_steps

    known, worse = by_hand(cell()), by_hand(cell().replace(theta=-54.0))
    found = compare_fits([worse, known], record_steps([90.0, 150.0, 210.0]), record_steps([60.0, 120.0, 240.0]))
    assert found.order == (1, 0)
    assert "over the same steps" in describe_ranking(found)


def test_fits_and_files_on_the_command_line(tmp_path) -> None:
    assert split_fits([tmp_path / "b.json", tmp_path / "x.nwb"]) == ([tmp_path / "b.json"], [tmp_path / "x.nwb"])
    with pytest.raises(Exception, match="no recording after the fits"):
        split_fits([tmp_path / "b.json"])
