"""Real sweeps to which something happens: all ends as if nothing had, or is refused in words; docs/reliability.md."""

import os
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from bench.reliability import PATIENCE, SHORT, Found, Sweep
from ktlight.methods.distillation import Distillation
from ktlight.report.failure import read_failure
from tests.conftest import Command, run_here
from tests.forked import run_forked

TWO = ("students=[test_vit]", "teachers=[test_convnext]", "methods=[kl,kl_dp]", "seeds=[0]", "data.views=2")
TYPED = ("experiment=sweep/pairs", *TWO, *SHORT, "hydra.sweep.dir=sweep")
DAY = 86_400


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a sweep of two runs that nothing happens to; its models and stored logits are in ``cache``."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KTLIGHT_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        assert run_here(*TYPED) == 0
    yield folder


@pytest.fixture
def prepared(undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own, with the models and logits of that sweep."""
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(undisturbed / "cache", tmp_path / "cache")


def found(folder: Path) -> Found:
    return Sweep(folder / "sweep", ()).found()


def test_killed_with_its_process_group(command: Command, undisturbed: Path, prepared: Path, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "sweep", TWO)
    process = run_forked(*TYPED)
    until = time.monotonic() + PATIENCE
    while not list(tmp_path.glob("sweep/kl*/config.yaml")):
        assert process.is_alive() and time.monotonic() < until
        time.sleep(0.01)
    time.sleep(0.3)
    assert process.pid
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    sweep.check_kept()
    assert len(found(tmp_path)) < 2
    after = command(*TYPED)
    assert after.code == 0, after.err
    sweep.check_kept()
    assert found(tmp_path) == found(undisturbed)


def test_a_full_disk(command: Command, undisturbed: Path, prepared: Path, tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limit[1]))  # less than a checkpoint
    try:
        full = command(*TYPED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, former)
    assert full.code == 1 and "2 of the 4 jobs failed" in full.err and "no space left" in full.err
    failed = [read_failure(folder) for folder in tmp_path.glob("sweep/kl*")]
    assert [failure and (failure.kind, failure.attempts) for failure in failed] == [("input/output", 3)] * 2
    after = command(*TYPED)
    assert after.code == 0, after.err
    assert found(tmp_path) == found(undisturbed)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def test_stored_logits_that_are_damaged(command: Command, undisturbed: Path, prepared: Path, tmp_path: Path) -> None:
    assert command(*TYPED, "methods=[kl]").code == 0
    whole = {file: file.read_bytes() for file in prepared.glob("store/*/logits.bin")}
    assert whole
    for number, (file, content) in enumerate(sorted(whole.items())):
        file.write_bytes(bytes(len(content))) if number % 2 else cut(file)
    after = command(*TYPED)
    assert after.code == 0, after.err
    assert found(tmp_path) == found(undisturbed)
    assert any(file.read_bytes() == content for file, content in whole.items())  # those that were needed


def test_a_model_of_the_zoo_that_is_cut_off(
    command: Command, undisturbed: Path, prepared: Path, tmp_path: Path
) -> None:
    (weights,) = prepared.glob("zoo/*/test_vit-*/model.safetensors")
    shutil.copytree(weights.parent, weights.parent.with_name(f".{weights.parent.name}-0123abcd"))
    for file in prepared.glob("zoo/*/.test_vit-*/model.safetensors"):
        cut(file)
    cut(weights)
    refused = command(*TYPED)
    assert refused.code == 1 and f"{weights} is truncated" in refused.err
    assert not found(tmp_path)
    assert command("task=zoo", "zoo.action=remove", f"zoo.name={weights.parent.name}").code == 0
    after = command(*TYPED, "sweep.retry=failed")
    assert after.code == 0, after.err
    assert found(tmp_path) == found(undisturbed)


def test_the_same_sweep_twice_at_once(undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = [tmp_path / f"{number}.txt" for number in range(2)]
    both = [run_forked(*TYPED, printed=file, KTLIGHT_CACHE=f"{tmp_path}/cache") for file in files]
    for process in both:
        process.join(PATIENCE)
    printed = "".join(file.read_text() for file in files)
    assert sorted(process.exitcode or 0 for process in both) in ([0, 0], [0, 75]), printed  # 75: the other was at a run
    assert printed.count("training it once") == 2
    for log in tmp_path.glob("sweep/kl*/run.log"):
        assert log.read_text().count("student: test_vit") == 1
    assert found(tmp_path) == found(undisturbed)


def test_a_clock_that_goes_backwards(
    command: Command, undisturbed: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(*TYPED, "methods=[kl]").code == 0
    tomorrow = time.time() + DAY
    for file in [*prepared.rglob("*"), *(tmp_path / "sweep").rglob("*")]:
        os.utime(file, (tomorrow, tomorrow))
    kept = next(tmp_path.glob("sweep/kl-*/results.json")).stat()
    hours = count()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: tomorrow - DAY - 3600 * next(hours))
        after = command(*TYPED)
    assert after.code == 0 and next(hours), after.err
    assert next(tmp_path.glob("sweep/kl-*/results.json")).stat().st_ino == kept.st_ino
    assert found(tmp_path) == found(undisturbed)


@pytest.mark.usefixtures("prepared")
def test_a_run_that_needs_too_much_memory(
    command: Command, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = Distillation.terms

    def too_large(self: Distillation, *given: Any) -> dict[str, Tensor]:
        if self.name == "kl_dp":
            raise MemoryError
        return terms(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Distillation, "terms", too_large)
        failed = command(*TYPED)
    assert failed.code == 1 and "1 of the 4 jobs failed" in failed.err and "the memory is full" in failed.err
    (large,) = tmp_path.glob("sweep/kl_dp-*")
    failure = read_failure(large)
    assert failure and (failure.kind, failure.attempts) == ("memory", 2)
    (done,) = found(tmp_path).items()
    assert found(undisturbed)[done[0]] == done[1]
    after = command(*TYPED, "sweep.retry=failed")
    assert after.code == 0, after.err
    assert found(tmp_path) == found(undisturbed)
