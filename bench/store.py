"""Costs and savings of the store: writing, checking and reading an entry, and a sweep with and without it."""

import argparse
import copy
import itertools
import shutil
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import torch

from bench.machine import measure_rates
from bench.measure import Row, Timings, arguments, finish, timed, warmed_up
from bench.setting import QUICK, Model, Setting, classifier, configured, own_cache, random_images
from ktlight.report.folder import RunFolder
from ktlight.store.entry import Shape, check_bytes, read_entry
from ktlight.store.form import Full
from ktlight.store.key import Key
from ktlight.store.source import StoredSource
from ktlight.store.store import LogitStore
from ktlight.tasks.transfer import transfer
from ktlight.training.record import Run
from ktlight.types import Batch

STUDENTS = (Model("test_vit"), Model("test_convnext"), Model("test_efficientnet"))
TEACHERS = (Model("vit_tiny_patch16_224"), Model("resnet18"), Model("regnetx_004"))
METHODS = ("kl", "kl_dp", "kl_dp_unsup")
SWEEP = replace(QUICK, classes=100, batch=64)
COLD, OFF = "sweep, cold store", "sweep, store=off"
BATCH = 256
KEY = Key(**({field.name: "" for field in fields(Key)} | {"model": "bench", "view": 0, "form": "full"}))


def entry_rows(folder: Path, rows: int, columns: int, options: argparse.Namespace) -> list[Row]:
    """Time writing, verifying and reading in random batches an entry of ``rows`` x ``columns`` float32 numbers."""
    shape = Shape(rows, columns, "float32")
    numbers = torch.randn(rows, columns)
    kept, written = LogitStore(folder / "kept"), LogitStore(folder / "written")

    def write(store: LogitStore) -> None:
        with store.lock(KEY, wait=True):
            store.write(KEY, shape, lambda start: numbers[start:].split(BATCH))

    def write_anew() -> None:
        shutil.rmtree(written.folder(KEY), ignore_errors=True)
        write(written)

    write(kept)
    stored = kept.open(KEY)
    assert stored is not None
    source = StoredSource("teacher", {0: stored}, torch.arange(rows), Full())
    nothing = torch.empty(0)
    batches: list[Batch] = [
        {"image": nothing, "label": nothing, "index": index, "view": 0} for index in torch.randperm(rows).split(BATCH)
    ]
    variants = {
        "write": timed(write_anew),
        "check": timed(lambda: check_bytes(read_entry(kept.folder(KEY)), again=True)),
        "read all in random batches": timed(lambda: [source.logits(batch) for batch in batches]),
    }
    times = warmed_up(variants, options)
    rate = measure_rates(torch.device("cpu")).bytes
    floor = Row("floor: one copy in memory", 1000 * 2 * shape.bytes / rate, note=f"{shape.bytes / 1e6:.0f} MB")
    return [floor, *(times.row(name) for name in variants)]


def sweep(
    students: Sequence[Model], teachers: Sequence[Model], setting: Setting, epochs: int, images: int, folder: Path
) -> Timings:
    """Run every job of a sweep twice in succession: with a store that starts empty, and with ``store=off``."""
    dataset = random_images(setting, images, images // 2)
    made = {model: classifier(model, setting) for model in (*students, *teachers)}
    seconds: dict[str, list[float]] = {COLD: [], OFF: []}

    def run(student: Model, teacher: Model, method: str, cache: str) -> float:
        pair = replace(setting, student=student, teacher=teacher)
        options = [f"method={method}", f"store={cache}", f"trainer.max_epochs={epochs}", "data.views=2"]
        config = configured(pair, *options)
        learner, source = copy.deepcopy(made[student]), copy.deepcopy(made[teacher])
        started = time.perf_counter()
        transfer(
            config, dataset, learner, [source], Run(config, RunFolder(folder / cache / f"{student}-{teacher}-{method}"))
        )
        return time.perf_counter() - started

    run(students[0], teachers[0], METHODS[0], "off")  # one-time costs of the process
    for student, teacher, method in itertools.product(students, teachers, METHODS):
        seconds[COLD].append(run(student, teacher, method, "auto"))
        seconds[OFF].append(run(student, teacher, method, "off"))
    return Timings({name: [sum(times)] for name, times in seconds.items()})


def main(given: list[str] | None = None) -> None:
    options = arguments(__doc__ or "", seconds=10).parse_args(given)
    students, teachers = (STUDENTS[:1], STUDENTS[1:2]) if options.quick else (STUDENTS, TEACHERS)
    epochs, images = (2, 64) if options.quick else (6, 384)
    rows, columns = (1000, 10) if options.quick else (20_000, 1000)
    with own_cache() as folder:
        found = entry_rows(folder, rows, columns, options)
        times = sweep(students, teachers, SWEEP, epochs, images, folder)
    found += [times.row(OFF), times.row(COLD, OFF, at_most=0.6)]
    what = (
        f"{rows} x {columns} logits; {len(students)} students x {len(teachers)} teachers x {len(METHODS)} methods, "
        f"{epochs} epochs of {images} images of {SWEEP.size} px in 2 views"
    )
    finish(options, f"the store: {what}", found)


if __name__ == "__main__":
    main()
