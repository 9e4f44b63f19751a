"""One browser, and one written page, for all tests here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ktlight.publication.page import write_page
from tests.publication.page.browser import CHROMIUM, browser
from tests.publication.page.made import made_page


@pytest.fixture(scope="package")
def started() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with browser() as chromium:
        yield chromium


@pytest.fixture(scope="package")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    write_page(made_page(), file)
    return file
