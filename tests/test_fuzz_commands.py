"""Random command lines, valid and broken: no traceback, a line where one is refused, nothing half done."""

import random
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncher

from ktlight.config.location import BASE, config_directory
from ktlight.preemption import STATUS
from ktlight.report.state import State, state_of

LINES = 300
TESTS = 6
LONG = "x" * 5000
MODELS = ("test_vit", "test_resnet", "resnet50", "vit_s", "convnext_tiny", "resnet18.a1_in1k", "test_efficientnet")
LABELS = ("a", "'ünï'", '"日本"', "a-b_c.d")
GROUPS = ("method", "router", "restraint", "schedule", "guard", "optim", "data", "trainer", "store", "compat", "recipe")
VALUES = (
    "null", "true", "0", "-1", "1", "0.5", "1e9", ".nan", "inf", "abc", "''", '""', "' '", "[]", "[1,2]", "{}", "{a:1}",
    "[null]", "[[]]", "${nope}", "${seed}", "${nope:1}", "${", "???", "'\"[a,b]\"'", "a=b", "[", "}", "'", '"', "1,2",
    ",", "torch.optim.Sgd", "os.system", "ünïcödé", "日本", "\N{PILE OF POO}", "../x", "/", "~", "glob(*)", 
    "range(0,3)",
    "range(3)", "choice(1,2)", "sort(2,1)", "int(x)", "a b", "a\tb", "a\nb", "\\", "$(reboot)", "`reboot`", "%s", "{0}",
    LONG, "9" * 400, "[" * 60 + "]" * 60, "zoo:nope", "hub:nope", "recommend:nope", "@", "a@b", ":", "- x", "#x",
)  # fmt: skip
KEYS = (
    "seed", "resume", "dry_run", "teachers", "models", "students", "methods", "seeds", "runs", "student", "teacher",
    "student.img_size", "student.kwargs", "student.name", "student.architecture", "student.checkpoint", "data",
    "data.name", "data.load", "data.root", "data.train", "data.holdout", "data.augment", "data.augment.kind",
    "data.batch_size", "data.workers", "data.pretrain", "data.class_names", "recipe", "recipe.lr", "recipe.steps",
    "optim", "optim.lr", "optim.peers", "optim.optimizer", "optim.optimizer._target_", "optim.decay", "method",
    "labels", "student.labels", "teacher.label_map", "method.standardize_logits", "router.retain_weight",
    "method._target_", "method.name", "method.temperature", "router", "router._target_", "restraint.tau", "schedule",
    "schedule.name", "guard", "guard.name", "trainer", "trainer.max_epochs", "trainer.precision", "trainer.devices",
    "trainer.strategy", "trainer.num_nodes", "store", "store.top_k", "store.max_gb", "logger", "logger.name",
    "logger.project", "compat", "pretrain", "pretrain.name", "pretrain.optim.lr", "task", "task.name", "task.label",
    "experiment", "launcher", "launcher.name", "launcher.jobs", "sweep", "sweep.retry", "sweep.stop_after", "page",
    "page.images", "transfer.part", "zoo.action", "report.wandb", "recommend.runs", "hydra.run.dir", "hydra.sweep.dir",
    "hydra.sweep.subdir", "hydra.job.name", "hydra.mode", "hydra.launcher", "hydra.sweeper", "hydra.verbose",
    "hydra.searchpath", "nope", "nope.nope", "", " ", "é", LONG,
)  # fmt: skip
FLAGS = ("-m", "--multirun", "-x", "--nope", "--cfg", "--cfg=job", "--config-dir=nowhere", "--config-name=nope",
         "--info", "--resolve", "--", "-", "")  # fmt: skip


@cache
def choices(group: str) -> list[str]:
    return sorted(file.stem for file in (config_directory() / group).glob("*.yaml") if file.stem != BASE)


def valid(draw: random.Random) -> list[str]:
    """Return a command that can work: each part is right, and they fit each other."""
    options = [
        f"seed={draw.randrange(100)}",
        f"student={draw.choice(MODELS[:2])}",
        f"teacher={draw.choice(MODELS[2:])}",
        f"method={draw.choice(('kl', 'kl_dp', 'xe_kl', 'kl_mcl', 'hinton'))}",
        f"trainer.max_epochs={draw.randint(1, 9)}",
        f"optim.lr={draw.choice(('0.1', '1e-3', '5e-05'))}",
        f"data.batch_size={2 ** draw.randint(0, 9)}",
        f"optim={draw.choice(choices('optim'))}",
        f"task.label={draw.choice(LABELS)}",
        "trainer=cpu",
        "guard=off",
        "page.images=false",
    ]
    drawn = draw.sample(options, draw.randint(0, 4))
    if draw.random() < 0.15:
        pairs = ("students=[test_vit,test_resnet]", "teachers=[test_convnext]", f"seeds=[{draw.randrange(9)}]")
        kept = [option for option in drawn if not option.startswith(("seed", "student", "teacher", "method"))]
        return ["experiment=sweep/pairs", *pairs, *kept]
    if draw.random() < 0.3:
        swept = [option for option in drawn if not option.startswith(("seed=", "method="))]
        return ["-m", "seed=0,1", draw.choice(("method=kl,kl_dp", "method=kl")), *swept]
    return drawn


def broken(draw: random.Random) -> list[str]:
    """Return a command that is valid but for one part."""
    wrong = draw.choice(
        (
            "seeed=1", "student=vit_bb", "method=kl_db", "data=digitz", "optim.lr=abc", "optim.lr=-1", "seed=-1",
            "seed=1.5", "resume=maybe", "dry_run=2", "method.temperature=0", "trainer.max_epochs=0", "data.fraction=2",
            "foo", "=", "=1", "a==", "method=[kl", "seed='1", "~student", "+seed=1", "student=null", "teachers=a",
            "task=pretrian", "launcher=slrum", "sweep.retry=all", "sweep.stop_after=0", "experiment=sweep/pears",
            "student.kwargs.depth=3", "trainer.precision=${nope}", "--config-dir=nowhere", "router=${oc.env:NOPE}",
            "schedule.name=", "guard=", "schedule.name=sopu", f"student={LONG}", f"{LONG}=1", "data.holdout=1",
        )
    )  # fmt: skip
    line = [option for option in valid(draw) if option.partition("=")[0] != wrong.partition("=")[0]]
    line.insert(draw.randint(0, len(line)), wrong)
    return line


def whatever(draw: random.Random) -> list[str]:
    """Return a command of which nothing is known."""
    line = []
    for _ in range(draw.randint(1, 4)):
        kind = draw.random()
        if kind < 0.2:
            group = draw.choice(GROUPS)
            line.append(f"{group}={draw.choice(choices(group))}")
        elif kind < 0.3:
            line.append(draw.choice(FLAGS))
        else:
            line.append(f"{draw.choice(('', '', '', '', '+', '++', '~'))}{draw.choice(KEYS)}={draw.choice(VALUES)}")
    return ["-m", *line] if draw.random() < 0.2 else line


KINDS: tuple[Callable[[random.Random], list[str]], ...] = (valid, *[broken] * 4, *[whatever] * 5)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Run no task: this is a test of what is typed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ktlight.tasks.frame.run_task", lambda config: {})
        patch.setattr(BasicLauncher, "launch", lambda launcher, jobs, initial_job_idx: [])
        patch.setenv("COLUMNS", "120")
        yield


@pytest.mark.parametrize("part", range(TESTS))
def test_random_command_lines(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(part, LINES, TESTS):
        draw = random.Random(number)
        kind = KINDS[draw.randrange(len(KINDS))]
        line = kind(draw)
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        try:
            check(kind, line, folder, capfd, monkeypatch)
        except BaseException as error:
            raise AssertionError(f"line {number}: {[argument[:200] for argument in line]}") from error


def check(kind: Callable[[random.Random], list[str]], line: list[str], folder: Path, capfd: Any, patch: Any) -> None:
    """Run a command, without its task, and check how it ends."""
    from ktlight.cli import main

    patch.setattr(sys, "argv", ["run.py", *line])
    code: Any = None
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    out, err = capfd.readouterr()
    said = err + (code if isinstance(code, str) else "")
    assert "Traceback" not in out + said and "HYDRA_FULL_ERROR" not in out + said, said
    assert "This is a defect" not in said, said
    if kind is valid:
        assert code in (None, 0, STATUS), (code, said)
    if kind is broken:
        assert code not in (None, 0), out
    if isinstance(code, str):
        assert code.startswith("error: ") and len(code) < 1000 + 3 * sum(map(len, line)), code
        assert code.count("\n") <= code.count("\n  "), code  # further lines only list what the first one says
    elif code not in (None, 0, STATUS):
        assert said.strip(), code
    for file in folder.rglob("*"):
        assert file.name != "results.json" and not (file.is_dir() and state_of(file) == State.DONE)
    if kind is broken and isinstance(code, str):
        assert list(folder.iterdir()) == []
