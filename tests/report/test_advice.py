from typing import Any

import pytest
from made import facts, transfer_results

from ktlight.report.advice import better_teacher, next_step

NOISE, LOSS, GAIN = [-1.0, 2.0], [-3.0, -1.0], [0.1, 2.0]


@pytest.mark.parametrize(
    ("changes", "typed", "expected"),
    [
        ({"transfer_delta_ci95": NOISE}, ["seed=1"], "python run.py seed=1 trainer.max_epochs=12"),
        ({"transfer_delta_ci95": NOISE}, ["trainer.max_epochs=6", "method=kl"],
         "python run.py method=kl trainer.max_epochs=12"),
        ({"transfer_delta_ci95": NOISE, "stages": [{}, {}]}, ["teachers=[a,b]"],
         "python run.py 'teachers=[a,b]' trainer.max_epochs=6"),
        ({"transfer_delta_ci95": NOISE, "stages": [{}, {}]}, ["schedule=soup", "schedule.total_epochs=6"],
         "python run.py schedule=soup schedule.total_epochs=12"),
        ({"transfer_delta_ci95": LOSS, "method": "kl"}, ["method=kl", "router=soft", "+router.sharpness=2"],
         "python run.py method=kl_dp"),
        ({"transfer_delta_ci95": LOSS}, ["method=kl_dp", "resume=true"], "python run.py method=kl_dp guard=wise"),
        ({"transfer_delta_ci95": LOSS, "guard": {"share": 0.5}}, ["guard=wise"],
         "python run.py guard=wise method=ensemble"),
        ({"transfer_delta_ci95": NOISE, "method": "kl", "guard": {"share": 0.0}}, ["method=kl", "guard=wise"],
         "python run.py guard=wise method=kl_dp"),
        ({"transfer_delta_ci95": GAIN, "method": "ensemble", "epochs": 0}, ["method=ensemble"],
         "python run.py method=kl_dp"),
        ({"transfer_delta_ci95": GAIN}, [], "use it in further runs: student.checkpoint=runs/x/student"),
    ],
)  # fmt: skip
def test_next_depends_on_the_outcome(changes: dict[str, Any], typed: list[str], expected: str) -> None:
    said = next_step(transfer_results(**changes), typed, "runs/x")
    assert said.startswith(expected)
    assert said != f"python run.py {' '.join(typed)}"


@pytest.mark.parametrize(
    ("parameters", "expected"), [(700, "and has 0.7 times"), (1000, "and is as large"), (85_800, "with 86 times")]
)
def test_the_better_teacher_has_its_size(parameters: int, expected: str) -> None:
    models = {"student": facts("s", 1000), "teacher": facts("t", parameters)}
    assert expected in better_teacher(transfer_results(models=models))


def test_of_several_teachers_the_best_counts() -> None:
    models = {"student": facts("s", 1000), "teacher1": facts("a", 1), "teacher2": facts("b", 2000)}
    results = transfer_results(models=models, teachers=[{"acc": 70.0}, {"acc": 82.345}])
    assert "2 times" in better_teacher(results)
    assert better_teacher(results | {"acc_after": 90.0}) == ""
