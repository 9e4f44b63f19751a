"""Two processes on the processor give what one process gives on the same effective batch."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
from conftest import Command
from ranks import run_in_ranks

# No statistics of batches in any network: those are of each process's own half of the batch.
METHODS = {
    "xe_kl_mcl": ["method=xe_kl_mcl", "trainer.accumulate_grad_batches=2"],
    "kdcl": ["method=kdcl", "method.rule=linear"],
    "cd": ["method=cd", "router=most_confident"],
    "crd": ["method=crd", "router=most_confident"],
    "rkd": ["method=rkd", "router=most_confident", "router.retain_weight=2"],
    "dist": ["method=dist", "router=no_negative_flips"],
    "head": ["transfer.part=head", "method=kl_mcl"],
    "own statistics": ["transfer.batchnorm=own", "student=test_resnet"],
}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


COMMON = ["optim=sgd", "optim.lr=0.05", "trainer.max_epochs=2", "trainer.check_val_every_n_epoch=1"]


@pytest.fixture(scope="module")
def two_processes(
    zoo: dict[str, Path], run_in: Callable[..., Path], cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of the runs by two processes, with what the first of them has printed in ``0.txt``."""
    folder = tmp_path_factory.mktemp("two")
    run_in("resnet", "task=pretrain", "student=test_resnet")  # beside those of `zoo`
    two = ["trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=32"]
    commands = [[*options, *COMMON, *two, f"hydra.run.dir={folder}/{name}"] for name, options in METHODS.items()]
    codes = run_in_ranks(commands, folder, lambda: os.environ.update(KTLIGHT_CACHE=str(cache)))
    assert codes == [0] * len(commands), (folder / "0.txt").read_text()
    assert (folder / "0.txt").read_text().count("transfer delta") == len(commands)
    assert not (folder / "1.txt").read_text()
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_equal_one(method: str, two_processes: Path, command: Command, tmp_path: Path) -> None:
    one, two = tmp_path / "one", two_processes / method
    assert command(*METHODS[method], *COMMON, f"hydra.run.dir={one}", "data.batch_size=64").code == 0

    start_weights, *learned = (
        safetensors.torch.load_file(folder / "student" / "model.safetensors") for folder in (one, one, two)
    )
    assert start_weights.keys() == learned[1].keys()
    for name, expected in learned[0].items():
        np.testing.assert_allclose(learned[1][name], expected, rtol=1e-4, atol=2e-6, err_msg=name)

    for left, right in zip(rows(one), rows(two), strict=True):
        assert left.keys() == right.keys()
        for name in left:
            assert float(right[name]) == pytest.approx(float(left[name]), rel=1e-5, abs=1e-5), name
    assert "val/acc" in rows(two)[0] and "train/loss" in rows(two)[0]
    assert any("left_out" in name for name in rows(two)[0]) == (method in ("xe_kl_mcl", "dist"))

    tables = [pq.read_table(folder / "predictions.parquet") for folder in (one, two)]
    assert tables[1]["index"].to_pylist() == list(range(1437))  # an odd number, so no equal halves
    for name in tables[0].column_names:
        if name.endswith("_confidence"):  # halves of a batch round differently
            np.testing.assert_allclose(*(table[name].to_numpy() for table in tables), rtol=1e-3, atol=1e-3)
            continue
        differing = np.count_nonzero(tables[0][name].to_numpy() != tables[1][name].to_numpy())
        assert differing <= (1 if "after" in name else 0), name  # a tie in the last digit may fall the other way

    results = [json.loads((folder / "results.json").read_text()) for folder in (one, two)]
    for name in results[0].keys() - {"weights_after", "seconds"}:
        expected = results[0][name]
        figure = name.endswith(("after", "delta", "ci95", "gain", "loss", "rate", "share", "_p"))
        assert results[1][name] == (pytest.approx(expected, abs=0.3) if figure and expected is not None else expected)

    assert files(one) == files(two)  # every file once, and none by the second process alone
    logs = [[line.split("]", 1)[1] for line in (folder / "run.log").read_text().splitlines()] for folder in (one, two)]
    assert len(set(logs[1])) == len(logs[1]) == len(logs[0])  # said once, by the first process
    assert sum("memory banks" in line for line in logs[1]) == (method == "crd")
    assert [line.split(";")[0] for line in logs[0] if "zoo:" in line] == [
        line.split(";")[0] for line in logs[1] if "zoo:" in line
    ]  # the same models, however many processes the transfer takes
