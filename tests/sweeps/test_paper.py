"""The paper's sweeps: their models are timm's, and every job of them composes."""

import pytest
import timm
from hydra.types import RunMode

from ktlight.sweeps.naming import folder_names
from ktlight.sweeps.pairs import check_experiment, of_the_runs, pair_runs
from tests.sweeps.conftest import MakeLoader


@pytest.mark.parametrize(
    ("name", "students", "teachers", "methods", "data"),
    [("pairs400", 20, 20, 7, "imagenet10"), ("full_imagenet", 9, 4, 4, "imagenet")],
)
def test_the_papers_sweeps(
    loader: MakeLoader, name: str, students: int, teachers: int, methods: int, data: str
) -> None:
    typed = [f"experiment=paper/{name}", "data.root=somewhere"]
    fast = loader(*typed)
    config = fast.load_configuration("config", typed, RunMode.MULTIRUN)
    known = set(timm.list_models(pretrained=True))
    assert set(config.students) | set(config.teachers) <= known
    runs = pair_runs(config, fast, [of_the_runs(typed, config)])
    assert len(runs) == students * teachers * methods
    check_experiment(config, fast, typed, runs[0])
    some = runs[:: len(runs) // 20]
    names = folder_names(fast, [run.overrides for run in some])
    assert len(set(names)) == len(names) and all(f"-{data}-seed0-" in each for each in names)
    job = fast.composed(runs[0].overrides)
    assert job.data.name == data and job.recipe.lr.sgd == 1e-4 and job.optim.optimizer._target_ == "torch.optim.SGD"
