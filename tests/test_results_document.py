"""docs/results.md holds the tables of docs/results/*.csv."""

from pathlib import Path

import pytest

from bench import results
from ktlight.publication.sweep.collection import collect
from ktlight.publication.sweep.publish import report_tables
from ktlight.publication.tables import markdown, write_table
from tests.publication.grid import table, write_grid

SUCCESS = "<!-- table: success -->\n<!-- end -->"
KINDS = "<!-- table: kinds; samples=digits*; teacher=all; columns=method,mean_delta,interval -->\nold\n<!-- end -->"


@pytest.fixture
def document(tmp_path: Path) -> Path:
    write_grid(tmp_path / "runs", {"kl": {(t, s): [1.0, 2.0] for t in "abc" for s in "abc" if t != s}})
    write_grid(tmp_path / "more", {"kl_dp": {("a", "b"): [1.0]}}, data="cifar10")
    for name in ("runs", "more"):
        write_table(table(tmp_path / name), tmp_path / "results", name)
    (tmp_path / "results.md").write_text(f"# Results\n\n{SUCCESS}\n\nBetween.\n\n{KINDS}\nAfter.\n")
    return tmp_path / "results.md"


def test_the_document_of_this_repository_holds_the_tables_of_its_files() -> None:
    with pytest.raises(SystemExit) as ended:
        results.main(["--check"])
        raise SystemExit(0)  # without csv files there is nothing to check
    assert ended.value.code == 0


def test_blocks_are_written_and_checked(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = document.read_text()
    with pytest.raises(SystemExit) as ended:
        results.main([str(document), "--check"])
    assert ended.value.code == 1 and document.read_text() == before
    assert capsys.readouterr().out.splitlines() == [
        f"differs: {each[12:].split(' -->')[0]}" for each in (SUCCESS, KINDS)
    ]
    results.main([str(document)])
    with pytest.raises(SystemExit) as ended:
        results.main([str(document), "--check"])
    assert ended.value.code == 0
    written = document.read_text()
    success = report_tables(collect([], sorted(document.with_suffix("").glob("*.csv"))))["success"]
    assert markdown(success) in written and "old" not in written
    assert "| method | mean\\_delta | interval |\n| --- | ---: | --- |\n| kl | 1.50 | +1.50 to +1.50 |\n" in written
    assert (
        written.startswith("# Results\n") and "\nBetween.\n" in written and written.endswith("<!-- end -->\nAfter.\n")
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<!-- table: nothing -->\n<!-- end -->", "no nothing"),
        ("<!-- table: success; columns=method,colour -->\n<!-- end -->", "colour"),
        ("<!-- table: success; colour=red -->\n<!-- end -->", "no colour"),
        ("<!-- table: success; method=crd -->\n<!-- end -->", "no row is left"),
        ("<!-- table: success -->\n", "no <!-- end -->"),
        ("<!-- table: success -->\n<!-- table: success -->\n<!-- end -->", "no <!-- end -->"),
    ],
)
def test_what_no_block_can_hold(document: Path, text: str, says: str) -> None:
    document.write_text(text)
    with pytest.raises(SystemExit, match=says):
        results.main([str(document)])
    assert document.read_text() == text


def test_rows_are_kept_or_left_out(document: Path) -> None:
    tables = report_tables(collect([], sorted(document.with_suffix("").glob("*.csv"))))
    kept, left = (results.block(tables, f"kinds; method{sign}kl_*; columns=method") for sign in ("=", "!="))
    assert "| kl\\_dp |" in kept and "| kl |" not in kept
    assert "| kl\\_dp |" not in left and "| kl |" in left


def test_a_broken_file_is_no_missing_row(document: Path) -> None:
    (document.with_suffix("") / "broken.csv").write_text("a,b\n")
    with pytest.raises(SystemExit, match="it is no table of runs"):
        results.main([str(document)])


def test_without_files_nothing_is_done(tmp_path: Path) -> None:
    (tmp_path / "results.md").write_text(SUCCESS)
    results.main([str(tmp_path / "results.md"), "--check"])
    assert (tmp_path / "results.md").read_text() == SUCCESS
