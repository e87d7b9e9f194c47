"""The page of a run in a real browser: what it shows of real fits, filters, sorting, scatter, without the network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from batch_cells import database
from explorer_browser import needed, opened

import ephysfit as ef
from ephysfit.batch.browsing import list_browsed_columns
from ephysfit.batch.store import Store
from ephysfit.batch.summary_page import write_page
from ephysfit.batch.thumbnails import is_thumbnail
from ephysfit.card.measures import DEFINITIONS
from ephysfit.models import LIF

NEURON = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=0.5)
HOSTILE = "</script><img src=x onerror=document.title='broken'>"


def write_steps(path: Path) -> None:
    """A cell of current steps with its voltage: a known neuron."""
    amplitudes = (-60.0, -20.0, -10.0, 100.0, 120.0, 140.0, 160.0, 180.0, 200.0)
    currents = [np.repeat([0.0, a, 0.0], [400, 2000, 400]) for a in amplitudes]
    run = ef.simulate(NEURON, currents, dt=0.25, save=("V",), noise="escape", runs=1, seed=1)
    free = ef.simulate(NEURON, currents, dt=0.25, save=("V",))
    trains = [t[0] for t in run.spike_times]
    np.savez(
        path, current_pA=np.stack(currents), voltage_mV=np.stack(list(free.traces["V"])), dt_ms=0.25,
        spike_trial=np.repeat(np.arange(len(trains)), [len(t) for t in trains]), spike_times_ms=np.concatenate(trains),
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two cells of noise with repeats and one of steps, each with two models; and one that cannot be read."""
    home = tmp_path_factory.mktemp("browsed")
    cells = database(home / "cells", 2)
    write_steps(cells / "stepped.npz")
    (cells / "broken.npz").write_bytes(b"PK\x03\x04 nothing more")
    # one report is enough to link to, and takes longer than its fit; the second run keeps the first one's fit
    options = {"folder": home / "run", "runs": 20, "workers": 1}
    ef.fit_many(cells / "stepped.npz", "LIF", reports=True, **options)
    ef.fit_many(cells, ["LIF", "ALIF"], **options)
    return home / "run"


@pytest.fixture(scope="module")
def url(run):
    return write_page(run).as_uri()


def read_rows(page: Path) -> dict:
    text = page.read_text(encoding="utf-8")
    return json.loads(text.split('id="cells">', 1)[1].split("</script>", 1)[0])


def best_first(run: Path) -> list[str]:
    """Cells by Md* of their best fit, those without one last."""
    found = read_rows(run / "population.html")
    assert found["columns"][0]["name"] == "md_star_8"
    known = sorted((r["values"][0] is None, -(r["values"][0] or 0.0), r["cell"]) for r in found["rows"] if r["best"])
    return [cell for _, _, cell in known]


def test_every_fit_has_a_thumbnail_and_the_page_holds_the_values_of_its_result(run, url):
    found = read_rows(run / "population.html")
    at = {c["name"]: k for k, c in enumerate(found["columns"])}
    assert len(found["rows"]) == 6
    assert {r["cell"] for r in found["rows"] if r["best"]} == {"cell0", "cell1", "stepped"}
    row = next(r for r in found["rows"] if (r["cell"], r["model"]) == ("stepped", "LIF"))
    result = next(s for t in Store(run).tasks() if t.label == "stepped LIF" if (s := Store(run).read(t)))
    assert is_thumbnail(result["thumbnail"])
    measures = result["cards"]["cell"]["measures"]
    assert row["values"][at["tau"]] == pytest.approx(measures["tau"]["value"], rel=1e-3)
    assert measures["tau"]["value"] == pytest.approx(20.0, rel=0.1)  # C / g of the neuron that made the recording
    noise = next(r for r in found["rows"] if r["cell"] == "cell0")
    assert noise["values"][at["tau"]] is None
    assert found["reasons"][noise["missing"][str(at["tau"])]] == "no voltage, spike times only"
    assert (run / row["link"]).is_file()
    assert {c.name for c in list_browsed_columns() if c.group == "cell"} == set(DEFINITIONS)


def test_cards_are_filtered_sorted_and_opened(run, url):
    needed()
    with opened(url) as (page, troubles):
        cards = page.locator("article.cell")
        page.wait_for_selector("article.cell svg.thumbnail path")
        assert cards.count() == 3
        assert page.locator("article.cell h3").all_inner_texts() == best_first(run)
        page.locator("[name=model]").select_option("*")
        assert cards.count() == 6
        page.get_by_label("Search").fill("stepped alif")
        assert cards.first.get_attribute("aria-label") == "stepped, ALIF"
        assert page.locator(".count").inner_text() == "1 of 3 cells"
        page.get_by_label("Search").fill("")
        page.get_by_label("Filter by").select_option("tau")
        page.get_by_label("membrane time constant, at least").fill("1")
        assert cards.count() == 2
        page.locator("article.cell summary").first.click()
        assert "coefficient of variation" in cards.first.inner_text()
        page.get_by_role("button", name="Clear all").click()
        assert cards.count() == 6
        assert troubles == []


def test_the_table_sorts_by_its_heads_and_keeps_missing_values_last(url):
    needed()
    with opened(url) as (page, troubles):
        page.get_by_label("Show as").select_option("table")
        head = page.get_by_role("button", name="membrane time constant, ms", exact=True)
        for _ in range(2):
            head.click()
            assert page.locator(".rows tbody tr").first.inner_text().startswith("stepped")
            assert "–" in page.locator(".rows tbody tr").last.inner_text()
        assert page.locator(".rows th[aria-sort=ascending]").inner_text().startswith("membrane time constant")
        assert troubles == []


def test_the_scatter_is_reached_by_keys_and_opens_a_card(run, url):
    needed()
    with opened(url) as (page, troubles):
        page.get_by_label("Horizontal").select_option("md_star_8")
        page.get_by_label("Vertical").select_option("model.tau")
        plot = page.locator(".scatter svg")
        found = read_rows(run / "population.html")
        pair = [k for k, c in enumerate(found["columns"]) if c["name"] in ("md_star_8", "model.tau")]
        both = [r for r in found["rows"] if r["best"] and all(r["values"][k] is not None for k in pair)]
        assert page.locator(".scatter circle").count() == len(both) > 0
        assert "stepped" not in {r["cell"] for r in both}  # it was not repeated
        plot.focus()
        plot.press("ArrowRight")
        assert page.locator(".picked").inner_text().startswith("cell")
        plot.press("Enter")
        assert page.evaluate("document.activeElement.id").startswith("fit-")
        assert page.locator("article.now").count() == 1
        assert troubles == []


def test_the_address_keeps_the_choice(url):
    needed()
    with opened(url) as (page, _):
        page.get_by_label("Search").fill("cell1")
        page.get_by_label("Show as").select_option("table")
        kept = page.url
    with opened(kept) as (page, troubles):
        assert page.get_by_label("Search").input_value() == "cell1"
        assert page.locator(".rows tbody tr").count() == 1
        assert troubles == []
    with opened(url + "#view=%7B%22sort%22%3A%22constructor%22%2C%22filters%22%3A%5B%7B%22name%22%3A%22__proto__%22%7D%5D%7D") as (page, troubles):  # fmt: skip # noqa: E501
        assert page.locator("article.cell").count() == 3
        assert troubles == []


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (800, "dark"), (1400, "light")])
def test_nothing_is_wider_than_the_window(url, width, scheme):
    needed()
    with opened(url, width=width, scheme=scheme) as (page, troubles):
        page.locator("article.cell").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert troubles == []


def test_what_a_result_holds_does_not_become_markup(run, tmp_path):
    needed()
    copy = tmp_path / "run"
    for task in Store(run).tasks():
        result = Store(run).read(task)
        assert result is not None
        if result["status"] == "done":
            result["thumbnail"]["caption"] = HOSTILE
            result["cell"] = task.cell.name
            result["cards"]["cell"]["measures"]["tau"]["why_missing"] = HOSTILE
        path = Store(copy).result_path(task)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result), encoding="utf-8")
    (copy / "run.json").write_text((run / "run.json").read_text(encoding="utf-8"), encoding="utf-8")
    with opened(write_page(copy).as_uri()) as (page, troubles):
        page.locator("article.cell summary").first.click()
        assert page.title() != "broken"
        assert page.locator("img").count() == 0
        assert HOSTILE in page.locator("article.cell").first.inner_text()
        assert troubles == []
