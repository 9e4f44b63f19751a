from pathlib import Path

import numpy as np
import pytest

from ktlight.errors import UserError
from ktlight.publication.sweep.paper import paper_success, read_paper

EXPECTED = {
    "kl": (32.5, -0.302, 20),
    "xe_kl": (42.5, -0.020, 20),
    "cd": (0, -1.896, 20),
    "crd": (0, -0.823, 20),
    "xe_kl_mcl": (85.0, -0.023, 17),
    "kl_dp": (92.5, 0.317, 20),
    "kl_dp_unsup": (82.5, -0.058, 20),
}


@pytest.fixture
def leaderboard(shared: Path) -> Path:
    file = shared / "data" / "paper_results" / "students_leaderboard.csv"
    if not file.exists():
        pytest.skip(f"needs the authors' results in {file}")
    return file


def test_the_success_figure_of_the_paper(leaderboard: Path) -> None:
    table = paper_success(read_paper(leaderboard)).set_index("method")
    assert table["median_success"].to_dict() == {method: expected[0] for method, expected in EXPECTED.items()}
    assert table["n"].to_dict() == {method: expected[2] for method, expected in EXPECTED.items()}
    for method, (_, delta, _) in EXPECTED.items():
        assert table.loc[method, "mean_delta"] == pytest.approx(delta, abs=5e-4)


def test_students_of_the_paper_by_size_and_accuracy(leaderboard: Path) -> None:
    """The authors find that larger students gain more by KL+DP: r = +0.37 with the logarithm of their parameters."""
    students = read_paper(leaderboard).query("method == 'kl_dp'")
    r = np.corrcoef(np.log(students["student_params"]), students["mean_delta"])[0, 1]
    assert r == pytest.approx(0.37, abs=0.005)


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_paper(tmp_path / "nowhere.csv")
    (tmp_path / "other.csv").write_text("method,delta\nkl,1\n")
    with pytest.raises(UserError, match=r"has no column approach, .*students_leaderboard\.csv"):
        read_paper(tmp_path / "other.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UserError, match="no csv file"):
        read_paper(tmp_path / "empty.csv")
