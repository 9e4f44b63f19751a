import errno
from pathlib import Path

import pytest

from ktlight.report.files import write_atomically, write_text


def test_a_file_appears_with_its_folder(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "file.txt", "text")
    assert (tmp_path / "new" / "file.txt").read_text() == "text"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    write_text(file, "old")

    def half(path: Path) -> None:
        path.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, half)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    write_text(file, "old")

    def look(path: Path) -> None:
        path.write_text("n")
        assert file.read_text() == "old"
        path.write_text("new")

    write_atomically(file, look)
    assert file.read_text() == "new"
