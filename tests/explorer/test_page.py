"""The page in a real browser: load, choose, slide, fit, compare; and where it is served."""

import socket

import pytest
from explorer_browser import READY, needed, opened

import ephysfit as ef
from ephysfit.errors import RecordingError

# panel warns of its own future; what matters here is what the browser says
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


def sentence(page) -> str:
    return page.locator("p.now").inner_text()


def answered(page, count: int) -> None:
    page.wait_for_function(f"(window.ephysfit_latency || []).length >= {count}", timeout=30_000)


def test_slide_choose_and_compare_without_an_error(served, tmp_path):
    needed()
    with opened(served.url) as (page, troubles):
        page.wait_for_selector(READY, timeout=60_000)
        assert "ALIF" in sentence(page)
        before = page.locator(".tiles").inner_text()
        slider = page.locator("input[data-name=theta]")
        assert slider.get_attribute("aria-label") == "theta (mV)"
        for _ in range(12):
            slider.press("PageUp")
        answered(page, 1)
        page.wait_for_timeout(300)
        assert page.locator(".tiles").inner_text() != before
        assert "by hand" in sentence(page)
        page.get_by_role("button", name="Keep").click()
        page.wait_for_selector("table.compared tbody tr", timeout=30_000)
        page.get_by_label("Model").select_option("LIF")
        page.wait_for_selector("input[data-name=d_theta]", state="detached", timeout=30_000)
        page.get_by_role("button", name="Keep").click()
        page.locator("table.compared tbody tr").nth(1).wait_for(timeout=30_000)
        picture = tmp_path / "page.png"
        page.screenshot(path=str(picture))
        assert picture.stat().st_size > 20_000
        assert troubles == []


def test_a_row_of_the_run_opens_its_fit_and_filters_hide_others(served):
    needed()
    with opened(served.url) as (page, troubles):
        page.wait_for_selector(READY, timeout=60_000)
        rows = page.locator(".tabulator-row")
        rows.first.wait_for(timeout=30_000)
        assert rows.count() == 2
        lif = rows.filter(has=page.get_by_text("LIF", exact=True))
        lif.click()
        page.wait_for_selector("input[data-name=d_theta]", state="detached", timeout=30_000)
        assert sentence(page).startswith("LIF")
        page.locator(".tabulator-header-filter input").nth(1).press_sequentially("ALIF")
        lif.wait_for(state="detached", timeout=30_000)
        assert troubles == []


@pytest.mark.slow
def test_a_fit_is_watched_to_its_end(served):
    needed()
    with opened(served.url, scheme="dark") as (page, troubles):
        page.wait_for_selector(READY, timeout=60_000)
        page.get_by_label("Model").select_option("LIF")
        page.wait_for_selector("input[data-name=d_theta]", state="detached", timeout=30_000)
        page.get_by_role("button", name="Fit LIF").click()
        page.locator(".bar").wait_for(timeout=60_000)
        page.locator("table.compared tbody tr").wait_for(timeout=240_000)
        assert "fitted here" in sentence(page)
        assert troubles == []


def test_a_narrow_window_shows_everything_without_sideways_scrolling(served):
    needed()
    with opened(served.url, width=420) as (page, troubles):
        page.wait_for_selector(READY, timeout=60_000)
        page.locator(".tiles").wait_for(timeout=30_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 420
        assert troubles == []


def test_only_this_machine_is_listened_to(served):
    with socket.socket() as other:
        other.settimeout(2)
        addresses = {a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
        for address in addresses - {"127.0.1.1"}:
            with pytest.raises(OSError, match=r".*"):
                other.connect((address, served.port))


def test_a_taken_port_and_a_wrong_file_are_told(served, folder, tmp_path):
    with pytest.raises(RecordingError, match=f"port {served.port} cannot be used"):
        ef.explore(folder, port=served.port)
    wrong = tmp_path / "notes.txt"
    wrong.write_text("no recording")
    with pytest.raises(RecordingError, match=r"notes\.txt"):
        ef.explore(wrong)


def test_a_notebook_shows_the_page_in_a_frame(served):
    assert f'src="{served.url}"' in served._repr_html_()
