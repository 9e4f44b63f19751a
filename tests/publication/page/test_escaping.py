"""Nothing that results, configs or failures say becomes markup of a page."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made import facts, transfer_results, write_run

from ktlight.publication.sweep.publish import write_sweep_page
from tests.publication.page.browser import needs_browser, opened

EVIL = "\"'><img src=x onerror=window.hit=1></script><script>window.hit=1</script>{{7*7}}"
TOKEN = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz012345"


class Tags(HTMLParser):
    """Counts the elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)


def page(folder: Path, evil: str) -> Path:
    """Write the page of two runs whose every word is evil, and of a broken one."""
    for number, (teacher, student) in enumerate((("a", "b"), ("b", "a"))):
        models = {
            role: facts(name + evil, 1000) | {"family": evil, "architecture": evil}
            for role, name in (("teacher", teacher), ("student", student))
        }
        made = transfer_results(
            method=f"kl{evil}", teacher=teacher + evil, student=student + evil, data=evil, class_names=[evil, "dog"],
            models=models, versions={"ktlight": evil, evil: "1"}, top20_classes=[evil], weights_after=str(number),
        )  # fmt: skip
        run = write_run(folder / f"run{number}", made, f"method=kl{evil}")
        (run / "config.yaml").write_text(f"a: {evil} {TOKEN}")
    broken = folder / evil.replace("/", "|")
    broken.mkdir()
    (broken / "results.json").write_text("{")
    write_sweep_page(folder)
    return folder / "report.html"


def test_evil_words_add_no_element(tmp_path: Path) -> None:
    tame, evil = (page(tmp_path / name, words).read_text() for name, words in (("tame", "x"), ("evil", EVIL)))
    assert Tags(evil).found == Tags(tame).found
    assert "&lt;img src=x" in evil and TOKEN not in evil


@needs_browser
@pytest.mark.parametrize("fragment", ["", "#pairs"])
def test_nor_do_they_in_a_browser(fragment: str, started: Any, tmp_path: Path) -> None:
    with opened(started, page(tmp_path / "evil", EVIL), fragment) as shown:
        assert shown.value("window.hit") is None
        assert shown.value("document.querySelectorAll('main img[src=x]').length") == 0
        assert any(EVIL in text for text in shown.texts(".tabulator-cell"))
