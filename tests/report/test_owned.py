import subprocess
import sys
from pathlib import Path

import pytest

from ktlight.errors import UserError
from ktlight.report.owned import check_free, check_owned, locked


@pytest.mark.parametrize("name", [".git", "notes.txt", "transfer", "student.txt", "previous-x", "teachers", "run.py"])
def test_a_folder_with_something_else_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    (tmp_path / "results.json").touch()
    with pytest.raises(UserError, match=rf"holds {name}, which no run writes.*with hydra.run.dir=FOLDER"):
        check_owned(tmp_path, "hydra.run.dir=FOLDER")


def test_many_strangers_are_counted(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"file{number}").touch()
    with pytest.raises(UserError, match="file0, file1, file2 and 2 more"):
        check_owned(tmp_path, "folder=")


def test_the_folder_of_a_run_is_its_own(tmp_path: Path) -> None:
    check_owned(tmp_path / "new", "")
    for name in ("results.json", "teacher12", "previous-12", ".hydra", "run.log", ".lock", "wandb", "pretrain-vit.tag"):
        (tmp_path / name).touch()
    check_owned(tmp_path, "")


HOLD = """
import sys, time
from pathlib import Path
from ktlight.report.owned import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    check_free(folder)
    assert not folder.exists()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        for attempt in (check_free, lambda path: locked(path).__enter__()):
            with pytest.raises(UserError, match=r"another process is running in .*run: wait for it or stop it"):
                attempt(folder)
        other.kill()  # the lock dies with its holder
    check_free(folder)
    with locked(folder):
        pass
