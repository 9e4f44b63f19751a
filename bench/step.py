"""The cost of a training step: plain fine-tuning, ours live and from the store, the paper's public code, timm."""

import argparse
import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from bench.floor import forward_cost, training_cost
from bench.loops import Step, per_sample_step, timm_step
from bench.machine import measure_rates, peak_memory, synchronize
from bench.measure import Row, Timings, arguments, finish, warmed_up
from bench.setting import FULL, LAUNCH_BOUND, QUICK, SMALL, Setting, classifier, configured, own_cache, random_images
from ktlight.answers.stored import OutputStore
from ktlight.methods.supervised import Supervised
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource
from ktlight.report.folder import RunFolder
from ktlight.stages.setting import Setting as StageSetting
from ktlight.stages.sources import routing_rule, sample_router
from ktlight.stages.stage import build_method
from ktlight.training.assemble import data_module, optimization
from ktlight.training.trainer import fit
from ktlight.types import LogitSource

WARM_UP = 2  # steps at the start of every fit that do not count
PLAIN, LIVE, STORED, KL = "plain cross entropy", "kl_dp, live", "kl_dp, from the store", "kl, from the store"
FORWARDS, READS = "frozen forwards alone", "store reads alone"
PER_SAMPLE, TIMM = "kl_dp, per-sample loop (paper's code)", "kl, timm's step"
COMPILED = ", compiled"


class Clock(Callback):
    """Times the steps of an epoch after the warm-up, including everything between steps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Start after the warm-up, stop after the last step."""
        if batch_idx in (WARM_UP - 1, trainer.num_training_batches - 1):
            synchronize(pl_module.device)
            now = time.perf_counter()
            self.seconds = now if batch_idx == WARM_UP - 1 else now - self.seconds


class Steps:
    """The variants of one setting, on the same models and the same batches.

    Args:
        setting: Models, sizes.
        folder: For what the runs write.
        compile: Mode of torch.compile for our compiled variants; None for no such variants.
    """

    def __init__(self, setting: Setting, folder: Path, compile: str | None = None) -> None:
        self.setting = setting
        self.folder = folder
        self.memory: dict[str, int] = {}
        self.student, self.teacher = (classifier(model, setting) for model in (setting.student, setting.teacher))
        self.initial = {"student": self.student.frozen_copy(), "teacher": self.teacher.frozen_copy()}
        config = configured(setting)
        count = setting.batch * (WARM_UP + setting.steps)
        self.data = data_module(config, random_images(setting, count, setting.batch))
        self.outputs = OutputStore(config, mode="fill")
        self.device, self.context = self.outputs.device.root, self.outputs.device.context
        self.live: list[LogitSource] = [LiveSource(name, model) for name, model in self.initial.items()]
        self.stored = self.outputs.sources(self.live, self.data, 1)
        self.batches = [self._on_device(batch) for batch in self.data.train_dataloader()][WARM_UP:]
        self.variants = {
            PLAIN: self.fitted(PLAIN),
            STORED: self.fitted(STORED, "method=kl_dp", "store=fill"),
            LIVE: self.fitted(LIVE, "method=kl_dp", "store=off"),
            KL: self.fitted(KL, "method=kl", "store=fill"),
            FORWARDS: self.asked(self.live),
            READS: self.asked(self.stored),
            PER_SAMPLE: self.looped(per_sample_step(self._copy(), *self._frozen(), self.context), lambda image: image),
            TIMM: self.looped(self._timm(), self.initial["student"].preprocess),
        }
        if compile:
            option = f"trainer.compile={compile}"
            self.variants |= {
                PLAIN + COMPILED: self.fitted(PLAIN + COMPILED, option),
                STORED + COMPILED: self.fitted(STORED + COMPILED, "method=kl_dp", "store=fill", option),
                LIVE + COMPILED: self.fitted(LIVE + COMPILED, "method=kl_dp", "store=off", option),
            }

    def fitted(self, name: str, *overrides: str) -> Callable[[], float]:
        """Return a variant that trains as a task does and times a step; without a method, it trains on the labels."""
        config = configured(self.setting, *overrides)
        student = self._copy()
        routers: list[Callback] = []
        if any(option.startswith("method=") for option in overrides):
            method = build_method(config, [student, self.teacher])
            rule = routing_rule(config, method, self.initial)
            shared = StageSetting(config, self.data, OutputStore(config), loggers=[], epochs=1, rule=rule)
            routers = sample_router(shared, self.initial, epochs=1)
        else:
            method = Supervised([student], optimization(config.optim, student))

        def variant() -> float:
            clock = Clock()
            folder = RunFolder(self.folder / "run")
            peak_memory(self.device)  # starts anew, from what is allocated now
            before = peak_memory(self.device)
            fit(config.trainer, method, self.data, folder, max_epochs=1, resume=False, callbacks=[*routers, clock])
            self.memory[name] = peak_memory(self.device) - before
            return clock.seconds / self.setting.steps

        return variant

    def asked(self, sources: list[LogitSource]) -> Callable[[], float]:
        """Return a variant that only queries the sources."""

        def variant() -> float:
            synchronize(self.device)
            started = time.perf_counter()
            with self.context():
                for batch in self.batches:
                    for source in sources:
                        source.logits(batch)
            synchronize(self.device)
            return (time.perf_counter() - started) / len(self.batches)

        for source in sources:
            source.to(self.device)
        return variant

    def looped(self, step: Step, preprocess: Callable[[Tensor], Tensor]) -> Callable[[], float]:
        """Return a variant that is a bare loop over the batches of the same loader."""

        def variant() -> float:
            started = 0.0
            for number, batch in enumerate(self.data.train_dataloader()):
                if number == WARM_UP:
                    synchronize(self.device)
                    started = time.perf_counter()
                moved = self._on_device(batch)
                step(preprocess(moved["image"]), moved["label"])
            synchronize(self.device)
            return (time.perf_counter() - started) / self.setting.steps

        return variant

    def floors(self) -> list[Row]:
        """Return the minimum times from counted operations and bytes at the machine's measured rates."""
        rates = measure_rates(self.device)
        batch = self.batches[0]
        plain = training_cost(self._copy().to(self.device), batch["image"], batch["label"])
        frozen = [forward_cost(model.to(self.device), batch["image"]) for model in self.initial.values()]
        per_second = f"{rates.flops / 1e9:.0f} GFLOP/s, {rates.bytes / 1e9:.0f} GB/s"
        return [
            Row(f"floor of {name}", 1000 * rates.seconds(cost.operations, cost.bytes), note=f"{cost} at {per_second}")
            for name, cost in ((PLAIN, plain), (FORWARDS, frozen[0] + frozen[1]))
        ]

    def memory_rows(self) -> list[Row]:
        """Return the peak memory of a stored run against that of plain fine-tuning."""
        ratio = self.memory[STORED] / self.memory[PLAIN]
        note = f"{self.memory[STORED] / 2**20:.0f} MiB"
        return [Row(f"peak memory of {STORED}", None, ratio, "<= 1.03", ratio <= 1.03, PLAIN, note)]

    def _copy(self) -> Classifier:
        return copy.deepcopy(self.student).to(self.device)

    def _frozen(self) -> list[Classifier]:
        return [model.to(self.device) for model in self.initial.values()]

    def _timm(self) -> Step:
        return timm_step(self._copy().network, self.initial["teacher"].network, self.context)

    def _on_device(self, batch: Any) -> Any:
        return self.data.transfer_batch_to_device(batch, self.device, 0)


def rows(times: Timings, gpu: bool, launch_bound: bool) -> list[Row]:
    """Return the rows of one setting, with the targets of the issue that asked for them."""
    found = [
        times.row(PLAIN),
        times.row(STORED, PLAIN, at_most=1.05),
        times.row(KL, PLAIN),
        times.row(LIVE, PLAIN, FORWARDS, at_most=1.03),
        times.row(FORWARDS),
        times.row(READS, PLAIN, at_most=0.01),
        times.row(PER_SAMPLE, STORED, at_least=4.0 if gpu else None),
        times.row(PER_SAMPLE, LIVE, at_least=2.5 if gpu else None),
        times.row(TIMM, KL),
    ]
    if PLAIN + COMPILED in times.seconds:
        found += [
            times.row(PLAIN + COMPILED, PLAIN),
            times.row(STORED + COMPILED, PLAIN + COMPILED, at_most=1.05),
            times.row(LIVE + COMPILED, LIVE),
            times.row(STORED, STORED + COMPILED, at_least=2.5 if launch_bound else None),
        ]
    return found


def main(given: list[str] | None = None) -> None:
    parser = arguments(__doc__ or "", seconds=45)
    parser.add_argument("--full", action="store_true", help="vit_base -> resnet50 at 224 px, compiled too; needs a GPU")
    parser.add_argument("--compile", metavar="MODE", help="time compiled variants too: default, reduce-overhead")
    options = parser.parse_args(given)
    if options.full and not torch.cuda.is_available():
        sys.exit("--full needs a GPU, and PyTorch sees none here")
    setting = QUICK if options.quick else FULL if options.full else SMALL
    found = measured(setting, options, options.compile or ("default" if options.full else None))
    if options.full:
        found += measured(LAUNCH_BOUND, options, "reduce-overhead", f"{LAUNCH_BOUND.student.architecture}: ")
    finish(options, f"a training step: {setting}", found)


def measured(setting: Setting, options: argparse.Namespace, compile: str | None, prefix: str = "") -> list[Row]:
    """Time one setting and return its rows."""
    with own_cache() as folder:
        steps = Steps(setting, folder, compile)
        times = warmed_up(steps.variants, options)
        gpu = torch.cuda.is_available()
        found = [*steps.floors(), *rows(times, gpu, setting is LAUNCH_BOUND), *(steps.memory_rows() if gpu else [])]
    return [Row(**{**vars(row), "name": prefix + row.name}) for row in found]


if __name__ == "__main__":
    main()
