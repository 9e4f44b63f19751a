import pytest
from rich.console import Console

from ktlight.report.layout import Column, console_for_tables, duration, fitted, needed, plain

COLUMNS = [
    Column("method", ["kl", "kl_dp"], right=False, fold=40),
    Column("lr", ["0.1", "0.01"]),
    Column("before", ["53.17", "5.00"], spare=1),
    Column("gain", ["1.00", "10.00"], spare=2),
]


def drawn(columns: list[Column], width: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    Console(width=width).print(fitted(columns, width))
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_what_is_least_important_goes_first(capsys: pytest.CaptureFixture[str]) -> None:
    whole = needed(COLUMNS)
    assert drawn(COLUMNS, whole, capsys)[0].split() == ["method", "lr", "before", "gain"]
    assert drawn(COLUMNS, whole - 1, capsys)[0].split() == ["method", "lr", "before"]
    assert drawn(COLUMNS, needed(COLUMNS[:3]) - 1, capsys)[0].split() == ["method", "lr"]


def test_numbers_end_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = drawn(COLUMNS, 80, capsys)
    assert len({len(line) for line in lines}) == 1
    assert lines[2].index("53.17") == lines[3].index("5.00") - 1


@pytest.mark.parametrize("width", [30, 80])
def test_long_words_go_on_in_the_next_line(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    paths = ["/" + "a" * 70 + "1", "/" + "a" * 70 + "2 [x]"]
    lines = drawn([Column("path", paths, right=False, fold=40)], width, capsys)
    assert all(len(line) <= width for line in lines)
    assert "".join(line.strip() for line in lines[2:]).replace(" ", "") == "".join(paths).replace(" ", "")


def test_a_log_file_has_eighty_columns_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "123")
    assert console_for_tables().width == 123


def test_a_length_of_time_has_two_units() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.6, 754, 3600 * 27.5, 3600)] == [
        "0 s", "1 min", "12 min 34 s", "1 d 3 h", "1 h",
    ]  # fmt: skip


def test_text_from_a_file_commands_no_terminal() -> None:
    assert plain("done\x1b[2J\r\n") == "done [2J  " and plain("größer") == "größer"
