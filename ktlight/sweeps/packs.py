"""Packs: runs of a sweep that one job of the launcher trains together, since their batches are the same."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from ktlight.errors import UserError
from ktlight.report.plan import Job
from ktlight.sweeps.composition import SweepLoader
from ktlight.training import worker

LAUNCHERS = ("local", "joblib")
"""Those that have been tried with packs."""


class Packs:
    """Puts runs into packs.

    Args:
        loader: Composes the configs.
        size: How many runs a pack has at most.

    Attributes:
        alone: Why a run is trained alone, by its folder.
    """

    def __init__(self, loader: SweepLoader, size: int) -> None:
        self.loader = loader
        self.size = size
        self.alone: dict[str, str] = {}
        self.kinds: dict[str, str] = {}

    def of(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """Return the packs of jobs; one whose batches no other has is a pack of its own."""
        if self.size == 1:
            return [[job] for job in jobs]
        by_kind: dict[str, list[Job]] = defaultdict(list)
        for job in jobs:
            by_kind[self._kind(job)].append(job)
        return [
            same[start : start + self.size] for same in by_kind.values() for start in range(0, len(same), self.size)
        ]

    def _kind(self, job: Job) -> str:
        if job.folder not in self.kinds:
            from ktlight.stages.packing import batches_of, unpackable  # which load torch

            config = self.loader.composed(job.overrides)
            if reason := unpackable(config):
                self.alone[job.folder] = reason
            self.kinds[job.folder] = job.folder if reason else batches_of(config)
        return self.kinds[job.folder]

    def said(self, jobs: Sequence[Job]) -> str:
        """Return what becomes of runs, in words; empty if each is trained alone anyway."""
        if self.size == 1 or not jobs:
            return ""
        packs = [pack for pack in self.of(jobs) if len(pack) > 1]
        reasons = [self.alone.get(job.folder, "") for job in jobs]
        why = "; ".join(dict.fromkeys(filter(None, reasons)))
        alone = len(jobs) - sum(map(len, packs))
        said = f"{len(jobs) - alone} runs are trained together, at most {self.size} at a time"
        return f"{said}; {alone} alone{f' ({why})' * bool(why)}"


class PackedJobs:
    """The function that Hydra calls for each job: where it is the first of a pack, it takes the others along.

    Launchers send it to other processes, like what it surrounds.

    Args:
        job: Runs a job.
        loader: Composes the configs.
        master: The config of the sweep.

    Attributes:
        others: By the options of the first of a pack, those of the others.
    """

    def __init__(self, job: worker.Job, loader: SweepLoader, master: DictConfig) -> None:
        self.job = job
        self.loader = loader
        self.master = master
        self.others: dict[tuple[str, ...], list[tuple[str, ...]]] = {}

    def lead(self, packs: Sequence[Sequence[Job]]) -> None:
        """Note who is in a pack with whom."""
        self.others = {pack[0].overrides: [job.overrides for job in pack[1:]] for pack in packs if len(pack) > 1}

    def __call__(self, config: DictConfig) -> object:
        """Run a job, or the pack that it leads."""
        others = self.others.get(tuple(HydraConfig.get().overrides.task), [])
        if not others:
            return self.job(config)
        self._with(others, [worker.Entry(config, here())])
        return None

    def _with(self, others: Sequence[tuple[str, ...]], entries: list[worker.Entry]) -> None:
        """Begin the other runs as Hydra begins jobs, each within the last, then run all of them."""
        if not others:
            self.job.pack(entries)
            return
        config = self.loader.load_sweep_config(self.master, list(others[0]))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = HydraConfig.get().job.num

        def begun(own: DictConfig) -> None:
            self._with(others[1:], [*entries, worker.Entry(own, here())])

        context = HydraContext(config_loader=self.loader, callbacks=Callbacks())
        ended = run_job(begun, config, "hydra.sweep.dir", "hydra.sweep.subdir", context)
        assert ended.return_value is None  # or it raises what went wrong


def here() -> worker.Surroundings:
    """Return what surrounds the run that Hydra has just begun: its config for Hydra, and its log."""
    return partial(_in_place, cast(DictConfig, HydraConfig.instance().cfg), list(logging.root.handlers))


@contextmanager
def _in_place(config: DictConfig, handlers: list[logging.Handler]) -> Iterator[None]:
    hydra: Any = HydraConfig.instance()
    outer = hydra.cfg, logging.root.handlers
    hydra.cfg, logging.root.handlers = config, handlers
    try:
        yield
    finally:
        hydra.cfg, logging.root.handlers = outer


def check_packs(size: int, launcher: str) -> None:
    """Raise `UserError` if a launcher has not been tried with packs."""
    if size > 1 and launcher not in LAUNCHERS:
        raise UserError(f"sweep.pack={size} works with launcher={' and '.join(LAUNCHERS)}: leave it out")
