"""The folders of a sweep's jobs are those that Hydra's whole composition names."""

from hydra.types import RunMode

from ktlight.sweeps.naming import EVERYTHING, dependencies, folder_names
from tests.sweeps.conftest import MakeLoader
from tests.sweeps.test_composition import METHODS, TYPED


def whole(loader: MakeLoader, fast: object, jobs: list[list[str]]) -> list[str]:
    return [
        str(fast.load_configuration("config", [*fast.typed, *job], RunMode.RUN).hydra.sweep.subdir)  # type: ignore
        for job in jobs
    ]


def test_methods_name_the_folders_that_hydra_does(loader: MakeLoader) -> None:
    fast = loader("method=kl")
    models = [["student=vit_b"], ["student=test_vit", "student.img_size=24", "++student.kwargs.depth=3"]]
    jobs = [[*model, "teacher=resnet18", f"method={m}", "seed=3"] for m in METHODS[::3] for model in models]
    assert folder_names(fast, jobs) == whole(loader, fast, jobs)


def test_jobs_of_all_kinds_do_not_disturb_each_other(loader: MakeLoader) -> None:
    fast = loader("method=kl")
    values = [["optim.lr=0.5", "seed=1"], ["pretrain.seed=${seed}", "seed=2"], ["optim.lr=${recipe.lr.sgd}"], []]
    jobs = [
        [*typed, *value] for value in values for typed in [*TYPED, ["student=vit_b"], []] if "seed" not in typed[-1:]
    ]
    assert folder_names(fast, jobs) == whole(loader, fast, jobs)


def test_a_folder_may_be_named_by_the_number_of_the_job(loader: MakeLoader) -> None:
    fast = loader("hydra.sweep.subdir=job-${hydra.job.num}-${seed}")
    assert folder_names(fast, [["seed=4"], ["seed=5"]]) == ["job-0-4", "job-1-5"]


def test_what_a_group_depends_on_is_read_off_its_interpolations(loader: MakeLoader) -> None:
    config = loader().composed([])
    needs = dependencies(config)
    assert "seed" in needs["pretrain"] and "student" in needs["task"] and needs["student"] == {"student", "labels"}
    assert not any(EVERYTHING in own for own in needs.values())
    config.seed = "${oc.select:data.holdout}"
    assert EVERYTHING in dependencies(config)["pretrain"]
