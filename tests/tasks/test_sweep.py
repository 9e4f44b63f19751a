import csv
import json
from pathlib import Path

from conftest import Command


def test_a_sweep_ends_with_the_table_of_its_transfers(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    ended = command("-m", "method=kl,kl_dp", "trainer.max_epochs=1", "hydra.sweep.dir=sweep")
    assert ended.code == 0, ended.err
    results = [json.loads(file.read_text()) for file in (tmp_path / "sweep").glob("*/results.json")]
    assert {run["method"] for run in results} == {"kl", "kl_dp"}
    with (tmp_path / "sweep" / "comparison.csv").open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    table = ended.out[ended.out.index("2 transfers") :]
    for run in results:
        assert float(rows[run["method"]]["transfer_delta"]) == run["transfer_delta"]
        assert f"{run['transfer_delta']:+.2f}" in table and f"{run['acc_after']:.2f}" in table


def test_a_sweep_with_a_job_that_fails_ends_in_an_error(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    ended = command("-m", "method=kl", "router=none,teacher", "trainer.max_epochs=1", "hydra.sweep.dir=sweep")
    assert ended.code == 1
    assert "router=" in ended.err and "Traceback" not in ended.err
    assert len(list((tmp_path / "sweep").glob("*/results.json"))) == 1
    assert "1 transfers" in ended.out or "1 transfer" in ended.out
