"""What all tests share: a cache folder of their own, a small zoo in it, and the command line in this process."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test workers on two cores; must be set before torch is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the session, so that the tests neither use nor fill the user's zoo."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(cache))


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Run `ktlight ARGUMENTS` in this process, in a folder of its own; imports are paid once.

    Models are pretrained for two epochs only, unless the arguments say otherwise.
    """
    from ktlight.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Outcome:
        quick = [] if any(argument.startswith("pretrain.epochs=") for argument in arguments) else ["pretrain.epochs=2"]
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments, *quick, "trainer.progress=false"])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            if isinstance(stop.code, str):
                print(stop.code, file=sys.stderr)
            code = 0 if stop.code is None else stop.code if isinstance(stop.code, int) else 1
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    yield run


@pytest.fixture
def shared() -> Path:
    """The folder of real data and weights beside the repository; tests that need it skip where it is not."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real data and weights in {SHARED}")
    return SHARED
