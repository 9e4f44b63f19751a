from typing import Any

from made import transfer_results

from ktlight.report.settings import constant, settings, setups, short_names, varying


def told(**options: Any) -> dict[str, str]:
    return {name.replace("__", "."): str(value) for name, value in options.items()}


def test_the_shortest_name_that_could_be_no_other() -> None:
    names = [
        "method",
        "trainer.max_epochs",
        "optim.lr",
        "pretrain.optim.lr",
        "student.checkpoint",
        "teacher.checkpoint",
    ]
    assert list(short_names(names).values()) == [
        "method", "max_epochs", "optim.lr", "pretrain.optim.lr", "student.checkpoint", "teacher.checkpoint",
    ]  # fmt: skip
    assert short_names(["optim.lr"]) == {"optim.lr": "lr"}
    assert short_names(["pretrain.seed"]) == {"pretrain.seed": "pretrain.seed"}  # the seed of the run is another one
    assert short_names(["a.b.lr", "c.b.lr"]) == {"a.b.lr": "a.b.lr", "c.b.lr": "c.b.lr"}
    assert short_names(["a.b.lr", "a.c.lr"]) == {"a.b.lr": "b.lr", "a.c.lr": "c.lr"}


def test_what_varies_and_what_does_not() -> None:
    runs = [told(method="kl", optim__lr=0.1, seed=0), told(method="kl_dp", optim__lr=0.1, seed=0)]
    assert varying(runs) == ["method"]
    assert constant(runs) == {"optim.lr": "0.1", "seed": "0"}
    assert varying([told(a=1), told(a=1, b=2)]) == ["b"]  # given or not


def test_lists_and_experiments_show_only_where_nothing_else_tells_runs_apart() -> None:
    lists = [told(teacher="a+b", teachers="[a,b]"), told(teacher="a+c", teachers="[a,c]")]
    assert varying(lists) == ["teacher"]
    checkpoints = [told(teacher="a", teachers="[{name:a,checkpoint:x}]"), told(teacher="a", teachers="[{name:a}]")]
    assert varying(checkpoints) == ["teachers"]


def test_options_without_effect_are_not_settings() -> None:
    options = {"task": "transfer", "resume": "true", "logger.name": "x", "hydra.sweep.dir": "y", "teacher": "alias",
               "trainer.progress": "false"}  # fmt: skip
    assert settings(transfer_results(options={**options, "optim.lr": "1"})) == {
        "method": "kl_dp", "teacher": "vit_b", "student": "resnet50", "data": "digits", "seed": "3", "optim.lr": "1",
    }  # fmt: skip


def test_runs_that_differ_in_the_seed_are_one_setup() -> None:
    runs = [
        transfer_results(seed=seed, options={"optim.lr": lr, "seed": str(seed)})
        for lr in ("0.1", "0.2")
        for seed in (0, 1, 2)
    ]
    rows = setups(runs)
    assert [row.values for row in rows] == [{"optim.lr": "0.1"}, {"optim.lr": "0.2"}]
    assert [[run["seed"] for run in row.runs] for row in rows] == [[0, 1, 2]] * 2
