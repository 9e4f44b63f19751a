"""What all tests share: a cache folder of their own, a small zoo, and the command line, in this process or not."""

import contextlib
import functools
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import omegaconf
import pytest
import yaml

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test workers on two cores; must be set before torch is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"


def _read_each_config_once() -> None:
    """Have OmegaConf parse each text once: texts and interpolations took a quarter of a short command."""
    load, make_loader = omegaconf.OmegaConf.load, omegaconf._utils.get_yaml_loader

    @functools.cache
    def content(text: str) -> Any:
        return yaml.load(text, make_loader())

    def load_once(file: Any) -> Any:
        if hasattr(file, "read") and isinstance(kept := content(file.read()), dict):
            return omegaconf.OmegaConf.create(kept)
        if hasattr(file, "read"):
            file.seek(0)
        return load(file)

    omegaconf.OmegaConf.load = staticmethod(load_once)
    for module in (omegaconf._utils, omegaconf.base):
        module.parse = functools.cache(omegaconf.grammar_parser.parse)  # of interpolations


_read_each_config_once()


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


def figures(folder: Path) -> dict[str, Any]:
    """Return the results of a finished run without the seconds it took, which no two runs share."""
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return {name: value for name, value in results.items() if name != "seconds"}


def quick(*arguments: str) -> list[str]:
    """Return the arguments with models pretrained for two epochs only, unless they say otherwise."""
    epochs = [] if any(argument.startswith("pretrain.epochs=") for argument in arguments) else ["pretrain.epochs=2"]
    return [*arguments, *epochs, "trainer.progress=false"]


def _mode_is_known(patch: pytest.MonkeyPatch) -> None:
    """Let Hydra take a command's mode from its checked config, instead of composing all of it again to see the mode."""
    from hydra._internal.hydra import Hydra

    from ktlight import cli

    check, modes = cli._check, []

    def checked(arguments: list[str]) -> Any:
        config = check(arguments)
        modes.append(config and config.hydra.mode)
        return config

    patch.setattr(cli, "_check", checked)
    patch.setattr(Hydra, "get_mode", lambda *_, **__: modes[-1])


def run_here(*arguments: str) -> int:
    """Run `ktlight ARGUMENTS` in this process and return the exit status; imports are paid once."""
    from ktlight.cli import main

    with pytest.MonkeyPatch.context() as patch:
        _mode_is_known(patch)
        patch.setattr(sys, "argv", ["run.py", *quick(*arguments)])
        try:
            main()
        except SystemExit as stop:
            if isinstance(stop.code, str):
                print(stop.code, file=sys.stderr)
            return 0 if stop.code is None else stop.code if isinstance(stop.code, int) else 1
    return 0


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the session, so that the tests neither use nor fill the user's zoo."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(cache))


@pytest.fixture(autouse=True)
def _log_stays_open() -> Iterator[None]:
    """Fail the test that leaves ktlight's log closed, not the later ones that look for something in it."""
    yield
    ours = logging.getLogger("ktlight")
    if ours.level > logging.INFO:
        left = logging.getLevelName(ours.level)
        ours.setLevel(logging.NOTSET)
        pytest.fail(f"this test has left ktlight's log at {left}")


@pytest.fixture(scope="session")
def run_in(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Run a command that must succeed and return the folder of its run; for fixtures that several tests look at."""

    def run(name: str, *arguments: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
            patch.setenv("KTLIGHT_CACHE", str(cache))
            assert run_here(*arguments, f"hydra.run.dir={folder}/run") == 0
        return folder / "run"

    return run


@pytest.fixture(scope="session")
def zoo(run_in: Callable[..., Path]) -> dict[str, Path]:
    """The small models `test_vit` and `test_convnext`, trained on the digits for two epochs, and their folders."""
    return {
        model: run_in("zoo", "task=pretrain", f"student={model}") / "student" for model in ("test_vit", "test_convnext")
    }


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run `ktlight ARGUMENTS` in this process, in a folder of its own.

    Models are pretrained for two epochs only, unless the arguments say otherwise.
    """
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Outcome:
        capfd.readouterr()
        code = run_here(*arguments)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start `python run.py ARGUMENTS` as a process of its own in the test's folder."""

    def run(*arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(REPOSITORY / "run.py"), *quick(*arguments)],
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    return run


@pytest.fixture
def shared() -> Path:
    """The folder of real data and weights beside the repository; tests that need it skip where it is not."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real data and weights in {SHARED}")
    return SHARED
