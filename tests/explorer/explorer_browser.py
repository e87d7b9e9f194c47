"""A real browser for the tests of the page: Debian's chromium, driven by playwright; nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
#: what a page shows once it is there
READY = ".sliders input[type=range]"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def needed() -> None:
    """Skip where there is no browser; in CI that is a failure, because `make browser` installs one."""
    if BROWSER is None and not os.environ.get("CI"):
        pytest.skip("no chromium on this machine; `make browser` installs it where apt can")
    assert BROWSER, "CI runs without chromium; `make browser` should have installed it"


@contextmanager
def opened(url: str, width: int = 1280, height: int = 900, scheme: Any = "light") -> Iterator[tuple[Any, list[str]]]:
    """The page at an address, and the list of errors and failed requests, which fills as they happen."""
    from playwright.sync_api import sync_playwright

    troubles: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: troubles.append(str(e)))
        page.on("requestfailed", lambda r: troubles.append(f"{r.url}: {r.failure}"))
        outside: list[str] = []
        page.on("request", lambda r: outside.append(r.url) if not _local(r.url) else None)
        page.goto(url)
        yield page, troubles
        troubles += [f"asked the network for {o}" for o in outside]
        browser.close()


def _local(url: str) -> bool:
    hosts = "localhost:", "127.0.0.1:"
    return url.startswith(("data:", "blob:", "file:", *(f"{way}://{host}" for way in ("http", "ws") for host in hosts)))
