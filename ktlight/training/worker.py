"""A job of a sweep in a process that a launcher started: what has to be there before Hydra composes its config."""

import functools
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from ktlight.config.launcher import threads_of_job
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import register_resolvers
from ktlight.training.placement import claim_device, compute_with

Surroundings = Callable[[], AbstractContextManager[None]]


class Entry(NamedTuple):
    """A run of a pack.

    Attributes:
        config: The composed config.
        place: Surrounds all that is done for it: its log is written, and Hydra names its folder.
    """

    config: DictConfig
    place: Surroundings


Run = Callable[[DictConfig], Any]
RunPack = Callable[[Sequence[Entry]], None]


class Job:
    """The function that Hydra calls for each job, wherever that is.

    Launchers send it to other processes and machines, where they compose the config: to be there at all, it must have
    registered the resolvers that the config uses. It also takes its folder and its command with it, on which the
    relative paths and the record of a run depend.

    Args:
        run: Runs the task of a config; found by its name in the other process.
        run_pack: Runs those of several, which are trained together.
    """

    def __init__(self, run: Run, run_pack: RunPack) -> None:
        self._run, self._run_pack = run, run_pack
        functools.update_wrapper(self, run)  # Hydra looks for the module of what it calls

    def __call__(self, config: DictConfig) -> Any:
        """Place the job on its device and run it; a job that was started before goes on where it was."""
        self._place(config)
        return self._run(config)

    def pack(self, entries: Sequence[Entry]) -> None:
        """Do the same with several runs."""
        for entry in entries:
            self._place(entry.config)
        self._run_pack(entries)

    @staticmethod
    def _place(config: DictConfig) -> None:
        config.resume = config.resume or _was_started_before()
        if config.launcher.name == "joblib":
            claim_device(config.launcher.jobs, config.trainer.accelerator)
        compute_with(threads_of_job(config))

    def __reduce__(self) -> tuple[Callable[..., "Job"], tuple[Any, ...]]:
        return _arrive, (self._run, self._run_pack, str(Path.cwd()), sys.argv)


def prepare_process() -> None:
    """Prepare a process for composing configs and for computing."""
    # Threads that wait for their next task must not spin: on shared cores that made runs several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # joblib makes its own way of starting processes the default of its processes; it can start no process of a loader.
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    register_models()
    register_resolvers()


def leave_allocation() -> None:
    """Forget that this process runs in an allocation of Slurm, whose variables make a job look like one of its ranks.

    ``SLURM_CONF`` stays, which says where Slurm is.
    """
    for name in [name for name in os.environ if name.startswith("SLURM_") and name != "SLURM_CONF"]:
        del os.environ[name]


def _was_started_before() -> bool:
    """Return whether the engine has started this job again: put back into its queue, or after its process was lost."""
    if int(os.environ.get("SLURM_RESTART_COUNT") or 0):
        return True
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return False
    return bool(ray._private.worker.global_worker.core_worker.get_current_task_attempt_number())


def _arrive(run: Run, run_pack: RunPack, folder: str, arguments: list[str]) -> Job:
    prepare_process()
    with suppress(OSError):  # which a run with an absolute folder does not need
        os.chdir(folder)
    sys.argv = arguments
    return Job(run, run_pack)
