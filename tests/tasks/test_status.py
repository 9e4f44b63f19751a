import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY, Command

from ktlight.report.plan import Job, write_plan
from tests.report.test_status import begun, done, everything, failed


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A sweep of four jobs, one of them done, one interrupted."""
    sweep = tmp_path / "runs" / "sweep-1"
    write_plan(sweep, [Job(name, ()) for name in ("a", "b", "c", "d")], "local")
    done(sweep / "a", train=90.0)
    begun(sweep / "b")
    return sweep


def test_what_is_unfinished(runs: Path, command: Command, tmp_path: Path) -> None:
    before = everything(tmp_path)
    ended = command("task=status")
    assert ended.code == 75, ended.err
    assert everything(tmp_path) == before
    heading, _, row, *_ = ended.out.splitlines()
    assert heading.split() == ["runs", "done", "interrupted", "absent", "used", "left"]
    assert row.split() == ["runs/sweep-1", "1", "1", "2", "1", "min", "30", "s", "4", "min", "30", "s"]


def test_what_has_failed_comes_with_message_and_folder(runs: Path, command: Command) -> None:
    failed(runs / "c", "not finite", "training diverged [at] step 3\x1b[2J")
    failed(runs / "d", "not finite", "training diverged [at] step 3\x1b[2J")
    failed(runs.with_name("transfer") / "one", "user", "no such model")
    failed(runs.with_name("transfer") / "one", "user", "no such model")
    ended = command("task=status", "runs=[runs/**]")
    assert ended.code == 1 and "\x1b[2J" not in ended.out
    told = [line.strip() for line in ended.out.partition("failed       user")[2].splitlines()[1:]]
    assert told[:2] == ["no such model", "runs/transfer/one (2 attempts)"]
    assert told[3] == "training diverged [at] step 3 [2J"
    assert told[4:6] == ["runs/sweep-1/c", "runs/sweep-1/d"]
    (total,) = (line for line in ended.out.splitlines() if line.startswith("all "))
    assert total.split()[:4] == ["all", "1", "1", "3"]
    ended = command("task=status", "status.failures=1")
    assert "and 2 more: status.failures=null" in ended.out and "diverged" not in ended.out


def test_all_done(runs: Path, command: Command) -> None:
    ended = command("task=status", f"runs={runs}/a")
    assert ended.code == 0 and len(ended.out.splitlines()) == 3


def test_watching_ends_when_all_is_done(runs: Path, command: Command) -> None:
    def finish() -> None:
        time.sleep(0.3)
        (runs / "b" / "results.json").write_text("{}")
        failed(runs / "c")
        done(runs / "d")

    worker = threading.Thread(target=finish)
    worker.start()
    ended = command("task=status", "status.watch=0.05")
    worker.join()
    assert ended.code == 1 and re.search(r"sweep-1 +3 +1", ended.out)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["runs=nowhere/**"], "runs=nowhere/**: there is no such folder"),
        (["runs=empty"], "runs=empty hold no run and no sweep"),
        (["runs={a: 1}"], "must be folders or patterns"),
        (["status.watch=0"], "status.watch=0 must be a number, above 0"),
        (["-m"], "leave out -m"),
    ],
)
def test_what_cannot_be_looked_at(arguments: list[str], told: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = command(*arguments, "task=status")
    assert ended.code == 1 and told in ended.err and "Traceback" not in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_it_loads_nothing_heavy(runs: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv[1:] = ['task=status']\n"
        "from ktlight.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: print(stop.code)\n"
        "print(*({'torch', 'pandas', 'numpy', 'wandb', 'ray', 'submitit'} & sys.modules.keys()))"
    )
    done_ = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done_.stdout.splitlines()[-2:] == ["75", ""]
