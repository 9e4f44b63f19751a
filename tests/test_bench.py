"""Every benchmark runs in its smallest setting and leaves an object of the promised form; no time is judged."""

import json
from pathlib import Path

import pytest
import torch

from bench import (
    batch_statistics,
    discover,
    evaluate,
    input,
    measure,
    packed,
    page,
    recipes,
    routers,
    runs,
    startup,
    step,
    store,
    sweep,
)

BENCHMARKS = (step, runs, store, input, startup, evaluate, page, discover, sweep, packed)


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda module: module.__name__)
def test_rows(benchmark, tmp_path: Path):
    threads = torch.get_num_threads()
    benchmark.main(["--quick", "--json", str(tmp_path / "rows.json")])
    torch.set_num_threads(threads)
    outcome = json.loads((tmp_path / "rows.json").read_text())
    assert outcome["machine"]
    for row in outcome["rows"]:
        assert {"name", "milliseconds", "ratio", "target", "met"} <= set(row)
        assert (row["target"] is None) == (row["met"] is None)
        assert row["milliseconds"] is not None or row["note"]
    assert any(row["target"] for row in outcome["rows"])


def test_ratio_is_taken_within_each_round():
    # the machine is three times slower in the second round; the ratio stays
    times = measure.Timings({"ours": [1.0, 3.0, 1.0], "one": [1.0, 3.0, 1.0], "other": [1.0, 3.0, 1.0]})
    row = times.row("ours", "one", "other", at_most=0.5)
    assert (row.milliseconds, row.ratio, row.target, row.met) == (1000, 0.5, "<= 0.5", True)
    assert times.row("ours", "one", at_least=1.3).met is False


def test_json_is_printed(capsys: pytest.CaptureFixture[str]):
    options = measure.arguments("", seconds=0).parse_args(["--json"])
    measure.finish(options, "title", [measure.Row("floor", 1.0)])
    assert json.loads(capsys.readouterr().out)["rows"][0]["name"] == "floor"


def test_folds_and_seeds_of_a_setting_count_together(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    columns = [*recipes.SETTING, "fold", "n", "gained", "lost"]
    rows = [("kl", 0, 72, 5, 1), ("kl_dp", 0, 72, 0, 0), ("kl", 1, 72, 3, 3)]
    lines = [",".join([*(method if name == "method" else "x" for name in recipes.SETTING), *map(str, rest)])
             for method, *rest in rows]  # fmt: skip
    file = tmp_path / "search.csv"
    file.write_text("\n".join([",".join(columns), *lines]))
    recipes.main([str(file)])
    table = capsys.readouterr().out.splitlines()
    assert "| kl | 2 | 144 | +2.78 |" in table[4] and "| kl_dp | 1 | 72 | +0.00 |" in table[5]


def test_other_statistics(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    own = ["data=digits", "pretrain.epochs=1", "trainer=cpu"]
    batch_statistics.main(["test_efficientnet", *own])
    *accuracies, _, decided = capsys.readouterr().out.splitlines()[-4:]
    figures = [float(line.split()[-1]) for line in accuracies]
    assert all(0 < figure <= 100 for figure in figures) and figures[0] != figures[1]
    assert decided.startswith("it trains with ")
    with pytest.raises(SystemExit, match="no BatchNorm"):
        batch_statistics.main(["test_vit", *own])


def test_routers_of_all_pairs(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    rules = tmp_path / "rules.txt"
    rules.write_text("# comment\nrouter=student\nrouter=soft router.calibrate=true\nrouter=pooled\n")
    own = ["data=digits", "data.holdout=0.1", "pretrain.epochs=1", "trainer=cpu"]
    routers.main(["test_vit,test_convnext", str(rules), *own, "--csv", str(tmp_path / "pairs.csv")])
    assert len((tmp_path / "pairs.csv").read_text().splitlines()) == 1 + 2 * 3
    table = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(table) if line.startswith("2 models, 2 pairs"))
    assert table[at + 3].startswith("| router=student | +0.00 | +0.000 | +0.000 | +0.000 ± 0.000 |")
    assert "router=pooled" in table[at + 5]
