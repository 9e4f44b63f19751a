from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ktlight.errors import UserError
from ktlight.report.numbered import numbered_folder


def test_the_next_number_is_taken(tmp_path: Path) -> None:
    for number in (1, 2):
        with numbered_folder(tmp_path / "runs", "kl-a+b-to-c", "folder=") as folder:
            assert folder == tmp_path / "runs" / f"kl-a+b-to-c-{number}" and folder.is_dir()
    (tmp_path / "runs" / "kl-a+b-to-c-7").mkdir()
    (tmp_path / "runs" / "kl-a+b-to-c-9-2").mkdir()  # of another run
    with numbered_folder(tmp_path / "runs", "kl-a+b-to-c", "folder=") as folder:
        assert folder.name == "kl-a+b-to-c-8"


def test_the_last_one_is_resumed(tmp_path: Path) -> None:
    for number in (3, 11, 2):
        (tmp_path / f"run-{number}").mkdir()
    with numbered_folder(tmp_path, "run", "folder=", resume=True) as folder:
        assert folder.name == "run-11"
    with numbered_folder(tmp_path, "other", "folder=", resume=True) as folder:
        assert folder.name == "other-1" and folder.is_dir()


@pytest.mark.parametrize(("written", "kept"), [((), False), ((".lock",), False), ((".lock", "config.yaml"), True)])
def test_a_folder_goes_again_if_nothing_was_written(written: tuple[str, ...], kept: bool, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), numbered_folder(tmp_path, "run", "folder=") as folder:
        for name in written:
            (folder / name).touch()
        _ = 1 / 0
    assert folder.exists() == kept


def test_the_folder_that_was_to_be_resumed_never_goes(tmp_path: Path) -> None:
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run-1" / ".lock").touch()  # of a process that has just begun there
    with pytest.raises(ZeroDivisionError), numbered_folder(tmp_path, "run", "folder=", resume=True):
        _ = 1 / 0
    assert (tmp_path / "run-1" / ".lock").exists()


def test_processes_that_begin_together_get_different_folders(tmp_path: Path) -> None:
    def take(_: int) -> Path:
        with numbered_folder(tmp_path, "run", "folder=") as folder:
            return folder

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(take, range(40)))) == 40


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="folder="), numbered_folder(tmp_path / "file" / "runs", "run", "folder="):
        pass
