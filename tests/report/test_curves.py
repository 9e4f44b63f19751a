import csv
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ktlight.report.curves import Curves


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_metrics_of_an_epoch_share_a_row(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "curves.csv", resume=False)
    curves.log_metrics({"val/acc": 50.0, "epoch": 0}, step=3)
    curves.log_metrics({"train/loss": 1.5, "epoch": 0}, step=3)
    curves.log_metrics({"train/loss": 0.5, "epoch": 1}, step=6)
    assert rows(curves.file) == [
        {"epoch": "0", "train/loss": "1.5", "val/acc": "50.0"},
        {"epoch": "1", "train/loss": "0.5", "val/acc": ""},
    ]


def test_the_mean_is_over_the_epochs_that_have_the_column(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "curves.csv", resume=False)
    curves.log_metrics({"val/acc": 10.0, "epoch": 0})
    curves.log_metrics({"train/loss": 1.0, "epoch": 1})
    curves.log_metrics({"val/acc": 40.0, "epoch": 2})
    assert curves.mean("val/acc") == 25.0
    assert curves.mean("share/teacher") is None


@settings(max_examples=20, deadline=None)  # each example waits for the disk
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5), st.integers(0, 4))
def test_a_resumed_run_leaves_the_same_text(values: list[float], stop: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "curves.csv"
        written = []
        for kept in (len(values), min(stop, len(values))):
            curves = Curves(file, resume=False)
            for epoch, value in enumerate(values[:kept]):
                curves.log_metrics({"train/loss": value, "epoch": epoch})
            curves = Curves(file, resume=True)
            for epoch, value in list(enumerate(values))[max(0, kept - 1) :]:  # the last epoch is run again
                curves.log_metrics({"train/loss": value, "epoch": epoch})
            written.append(file.read_text())
        assert written[0] == written[1]
        assert written[0].splitlines() == ["epoch,train/loss", *(f"{e},{v!r}" for e, v in enumerate(values))]


def test_without_resume_the_old_rows_go(tmp_path: Path) -> None:
    Curves(tmp_path / "curves.csv", resume=False).log_metrics({"train/loss": 1.0, "epoch": 5})
    Curves(tmp_path / "curves.csv", resume=False).log_metrics({"train/loss": 2.0, "epoch": 0})
    assert [row["epoch"] for row in rows(tmp_path / "curves.csv")] == ["0"]
