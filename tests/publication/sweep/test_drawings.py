"""Which figures there are for which runs; `tests/publication/figures` draws them."""

from ktlight.publication.sweep.collection import Collection
from ktlight.publication.sweep.drawings import Drawing, sweep_drawings
from ktlight.publication.sweep.rows import Row
from ktlight.publication.sweep.transfers import transfer_table
from tests.publication.sweep.made_rows import STUDENTS, control, row


def drawn(rows: list[Row]) -> dict[str, Drawing]:
    return {drawing.name: drawing for drawing in sweep_drawings(Collection(transfer_table(rows)))}


def rows_by_size() -> list[Row]:
    return [row("kl_dp", teacher, student, 1.0 + number, student_params=10**number)
            for number, student in enumerate(STUDENTS) for teacher in "ab"]  # fmt: skip


def test_success_by_size_needs_sizes_and_teachers() -> None:
    figures = drawn(rows_by_size())
    assert figures["success_by_size"].caption.startswith("5 points, a method and student each")
    assert "schedules" not in figures and "delta_by_size" in figures
    one_size = [each | {"student_params": 5} for each in rows_by_size()]
    one_teacher = [each for each in rows_by_size() if each["teacher"] == "a"]
    assert "success_by_size" not in drawn(one_size) and "success_by_size" not in drawn(one_teacher)


def test_several_teachers_stand_beside_each_alone() -> None:
    rows = rows_by_size()
    for schedule in ("sequential", "parallel"):
        rows += [row("kl_dp", "a+b", student, 3.0, teachers=2, schedule=schedule) for student in "vw"]
    caption = drawn(rows)["schedules"].caption
    assert caption.startswith("4 points of several teachers, 4 of a single one")


def test_controls_are_in_no_figure_of_pairs() -> None:
    taught, controls = rows_by_size(), [control("self_distill", student, 0.5) for student in STUDENTS]
    with_controls, alone = drawn(taught + controls), drawn(taught)
    for name in ("delta_against_difference", "delta_map"):
        assert with_controls[name].caption == alone[name].caption
    assert not {"delta_against_difference", "delta_map", "correlations"} & drawn(controls).keys()
