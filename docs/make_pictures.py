"""Makes the pictures of the README and the docs from the shipped recording: ``python docs/make_pictures.py``.

docs/pictures/fit.png     a typical stretch of the held-out prediction
docs/pictures/report.png  the top of the report page, as a browser shows it (needs chromium; kept as it is without)
docs/pictures/explore.png the explorer with that fit (needs chromium and playwright)
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import ephysfit as ef

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "pictures"
MODEL = "AIGIF"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=6000",
)  # fmt: skip


def screenshot(page: Path, picture: Path, width: int, height: int, *, dark: bool = False) -> None:
    """What a browser shows of the top of a page."""
    with tempfile.TemporaryDirectory() as home:
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        subprocess.run(
            ["chromium", *FLAGS, scheme, f"--user-data-dir={home}", f"--window-size={width},{height}",
             f"--screenshot={picture}", page.as_uri()],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


def explorer(*what: object, picture: Path) -> None:
    """What the explorer shows at first."""
    from playwright.sync_api import sync_playwright

    page = ef.explore(*what)
    flags = [f for f in FLAGS if f.startswith("--no-") or f.startswith("--disable-")]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        view = browser.new_page(viewport={"width": 1280, "height": 860})
        view.goto(page.url)
        view.wait_for_selector(".sliders .head")
        view.wait_for_timeout(3000)
        view.screenshot(path=str(picture))
        browser.close()
    page.stop()


def main() -> None:
    """Fit the shipped cell, write its report, keep the pictures."""
    train, test = ef.load(HERE.parent / "data" / "DRN164.nwb").split()
    fit = ef.fit(train, MODEL)
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = ef.report(fit, test, Path(folder) / "fit.html", train=train)
        shutil.copy(page.with_suffix(".png"), PICTURES / "fit.png")
        if shutil.which("chromium"):
            screenshot(page, PICTURES / "report.png", 1200, 2500)
            saved = fit.save(Path(folder) / "AIGIF" / "fit.json")
            explorer(saved, HERE.parent / "data" / "DRN164.nwb", picture=PICTURES / "explore.png")


if __name__ == "__main__":
    main()
