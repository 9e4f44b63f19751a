"""Sweeps over chosen pairs, by methods with options: which runs there are, as Hydra's whole composition names them."""

from itertools import product
from pathlib import Path

import pytest
from conftest import Command, figures
from hydra.types import RunMode

from ktlight.report.plan import read_plan
from ktlight.sweeps.asked import asked, epochs_by_role
from ktlight.sweeps.naming import folder_names
from ktlight.sweeps.pairs import PairRun, of_the_runs, pair_runs
from tests.sweeps.conftest import MakeLoader
from tests.sweeps.test_composition import METHODS
from tests.sweeps.test_naming import whole

CHOSEN = "pairs=[{student: test_vit, teachers: [test_resnet,glob(test_conv*)]},{student: vit_b, teachers: [test_vit]}]"
MARGIN, HEAD = "{method: kl_dp, router: margin}", "{method: kl_dp, transfer.part: head}"
IN_TURN = "{method: kl, schedule: sequential, schedule.total_epochs: 2, teachers: together}"


def planned(loader: MakeLoader, *typed: str) -> list[PairRun]:
    given = ["experiment=sweep/pairs", *typed]
    fast = loader(*given)
    config = fast.load_configuration("config", given, RunMode.MULTIRUN)
    return pair_runs(config, fast, [of_the_runs(given, config)])


def test_a_run_for_each_pair_and_for_each_student(loader: MakeLoader) -> None:
    methods = f"methods=[kl,self_distill,label_smoothing,{MARGIN},{HEAD},{IN_TURN}]"
    runs = planned(loader, CHOSEN, methods, "seeds=[3,4]")
    found = {(str(run.method), run.student.name, *(each.name for each in run.teachers)) for run in runs}
    pairs = [("test_vit", "test_resnet"), ("test_vit", "test_convnext"), ("vit_b", "test_vit")]
    pairs += [("test_vit", name) for name in ("test_convnext2", "test_convnext3")]
    each = ("kl", "kl_dp router=margin", "kl_dp transfer.part=head")
    firsts = [("test_vit", "test_resnet"), ("vit_b", "test_vit")]
    of_test_vit = [teacher for student, teacher in pairs if student == "test_vit"]
    in_turn = "kl schedule=sequential schedule.total_epochs=2 teachers=together"
    assert found == {
        *((method, *pair) for method, pair in product(each, pairs)),
        *((method, *pair) for method, pair in product(("self_distill", "label_smoothing"), firsts)),
        (in_turn, "test_vit", "test_resnet", *sorted(of_test_vit[1:])),
        (in_turn, "vit_b", "test_vit"),
    }
    assert len(runs) == 2 * len(found) and {run.shared[-1] for run in runs} == {"seed=3", "seed=4"}
    together = next(run for run in runs if len(run.teachers) > 1)
    assert "teachers=[test_resnet,test_convnext,test_convnext2,test_convnext3]" in together.overrides
    assert list(together.models) == ["student", "teacher1", "teacher2", "teacher3", "teacher4"]


def test_they_are_the_runs_typed_by_hand(loader: MakeLoader) -> None:
    models = "{student: {name: test_vit, img_size: 24}, teachers: [test_resnet,{name: zoo:mine, img_size: 24}]}"
    methods = f"methods=[self_distill,{MARGIN},{HEAD},{IN_TURN}]"
    given = ["experiment=sweep/pairs", f"pairs=[{models}]", methods, "guard=wise"]
    fast = loader(*given)
    config = fast.load_configuration("config", given, RunMode.MULTIRUN)
    config.pairs[0].teachers[1] = {"name": "test_vit", "checkpoint": "zoo:mine"}
    runs = pair_runs(config, fast, [of_the_runs(given, config)])
    jobs = [list(run.overrides) for run in runs]
    assert folder_names(fast, jobs) == whole(loader, fast, jobs)
    by_hand = [
        "method=kl_dp", "router=margin", "guard=wise", "student=test_vit", "student.img_size=24", "teacher=test_resnet",
    ]  # fmt: skip
    assert folder_names(fast, [by_hand])[0] in folder_names(fast, jobs)


def test_which_methods_have_no_teacher(loader: MakeLoader) -> None:
    fast = loader()
    alone = {name for name in METHODS if "teacher" not in asked(fast.composed([f"method={name}"]))}
    assert alone == {"self_distill", "label_smoothing"}
    assert asked(fast.composed(["method=kl", "router=student"])) == {"student"}
    assert asked(fast.composed(["method=self_distill", "router=teacher"])) == {"teacher"}


def test_how_long_each_model_is_asked(loader: MakeLoader) -> None:
    fast, roles = loader(), ["student", "teacher1", "teacher2"]
    for typed, planned_epochs, lengths in (
        (["schedule=parallel"], 5, [5, 5, 5]),
        (["schedule=sequential"], 5, [10, 5, 5]),
        (["schedule=soup", "schedule.total_epochs=3"], 5, [3, 2, 1]),
        (["schedule=sequential"], 0, [0, 0, 0]),
    ):
        assert list(epochs_by_role(fast.composed(typed), planned_epochs, roles).values()) == lengths


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("pairs={test_vit: [test_resnet]}",), "pairs={test_vit: [test_resnet]}: it takes a list, in [...]"),
        (("pairs=[{student: test_vit}]",), "pairs: {'student': 'test_vit'} is not of the form {student: vit_s, "),
        (("pairs=[{student: test_vit, teachers: test_resnet}]",), "the teachers of test_vit must be a list"),
        (("pairs=[{student: test_vot, teachers: [test_resnet]}]",), "Did you mean test_vit"),
        (("pairs=[{student: test_vit, teachers: [test_vit]}]",), "a model does not learn from itself"),
        ((CHOSEN, "students=[test_vit]"), "give pairs=[...] or students=[...] and teachers=[...], not both"),
        ((CHOSEN, "teachers=recommend:there"), "give pairs=[...] or students=[...] and teachers=[...], not both"),
        ((CHOSEN, f"methods=[kl,{HEAD},{HEAD}]"), "the method kl_dp transfer.part=head is given twice"),
        ((CHOSEN, "methods=[kl_dp,{method: kl_dp, router: most_confident}]"), "two jobs of the sweep are the same run"),
        ((CHOSEN, "methods=[{router: margin}]"), "names no method, as in {method: kl_dp, router: margin}"),
        ((CHOSEN, "methods=[{method: klp}]"), "unknown method 'klp'. Did you mean kl"),
        ((CHOSEN, "methods=[{method: kl, router: margn}]"), "unknown router 'margn' in router=margn. Did you mean"),
        (
            (CHOSEN, "methods=[{method: kl, transfr.part: head}]"),
            "unknown option 'transfr.part'. Did you mean",
        ),
        ((CHOSEN, "methods=[{method: kl, transfer.part: tail}]"), "transfer.part=tail must be all or head"),
        ((CHOSEN, "methods=[{method: kl, teachers: [a]}]"), "teachers: ['a'] can only be together"),
        ((CHOSEN, "methods=[{method: kl, seed: 1}]"), "'seed' is no option that a method can be given"),
        ((CHOSEN, "methods=[{method: kl, hydra.run.dir: there}]"), "'hydra.run.dir' is no option that a method can be"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    command: Command, tmp_path: Path, typed: tuple[str, ...], message: str
) -> None:
    ended = command("experiment=sweep/pairs", *typed)
    assert ended.code == 1 and message in ended.err and "Traceback" not in ended.err + ended.out, ended.err
    assert len(ended.err.strip().splitlines()) == 1 and not (tmp_path / "runs").exists()


def test_a_sweep_by_methods_with_options(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    shared = (
        "guard=wise",
        "guard.steps=2",
        "data.views=2",
        "pretrain.epochs=1",
        "trainer.max_epochs=2",
        "hydra.sweep.dir=sweep",
    )
    study = (
        "experiment=sweep/pairs", "students=[test_vit,test_efficientnet]", "teachers=[test_resnet,test_vit]",
        f"methods=[{MARGIN},self_distill,{HEAD},{IN_TURN}]", *shared,
    )  # fmt: skip
    by_hand = ("-m", "method=kl_dp", "router=margin", "student=test_vit,test_efficientnet", "teacher=test_resnet")
    assert command(*by_hand, *shared).code == 0
    before = command(*study, "dry_run=true")
    assert before.code == 0 and "10 runs in sweep: 2 done, 8 not begun; 8 to do" in before.out, before.out + before.err
    assert "3 pairs of 2 students and 2 teachers" in before.out and "all 3 are there" in before.out
    table = {line[:52].rstrip(): line[52:].split() for line in before.out.splitlines()}
    assert table["kl_dp router=margin"] == ["3", "2", "1"] and table["self_distill"] == ["2", "0", "2"]
    assert command(*study).code == 0
    plan = read_plan(tmp_path / "sweep")
    assert plan is not None
    runs = {job.folder: figures(tmp_path / "sweep" / job.folder) for job in plan if not job.prepares}
    assert len(runs) == 10 and all(run["task"] == "transfer" for run in runs.values())
    (in_turn,) = (run for run in runs.values() if "teacher2" in run["models"])
    assert [in_turn["models"][role]["name"] for role in ("teacher1", "teacher2")] == ["test_resnet", "test_vit"]
    again = command(*study)
    assert again.code == 0 and "10 done; 0 to do" in again.out and "Launching" not in again.out
