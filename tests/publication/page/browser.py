"""A headless browser on a written page, and what it said and asked for."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@dataclass
class Opened:
    """An opened page.

    Attributes:
        tab: Playwright's page.
        messages: Everything on the console, and errors.
        requests: Addresses asked for, but for the page's own.
    """

    tab: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def value(self, script: str) -> Any:
        """Return what a script comes to on the page."""
        return self.tab.evaluate(script)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements of a kind."""
        return [text.strip() for text in self.tab.locator(selector).all_inner_texts()]


@contextmanager
def browser() -> Iterator[Any]:
    """Start the browser of this machine; none is downloaded."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@contextmanager
def opened(started: Any, file: Path, fragment: str = "", **options: Any) -> Iterator[Opened]:
    """Open a page, wait until it is ready, and check at the end that it said nothing and asked for nothing.

    Args:
        started: The browser.
        file: The page.
        fragment: The state in its address.
        options: Of the browser's context.
    """
    context = started.new_context(**options)
    context.set_default_timeout(20_000)
    page = Opened(context.new_page())
    address = file.absolute().as_uri()
    page.tab.on("console", lambda message: page.messages.append(message.text))
    page.tab.on("pageerror", lambda error: page.messages.append(str(error)))
    page.tab.on("request", lambda request: page.requests.append(request.url))
    page.tab.goto(address + fragment)
    page.tab.wait_for_selector("html[data-ready]")
    yield page
    assert page.messages == []
    loaded = (address, "data:", "blob:")
    assert [url for url in page.requests if not url.startswith(loaded)] == []
    context.close()
