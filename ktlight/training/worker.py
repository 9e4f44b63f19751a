"""A job of a sweep in a process that a launcher started: what has to be there before Hydra composes its config."""

import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ktlight.config.launcher import threads_of_job
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import register_resolvers
from ktlight.training.placement import claim_device, compute_with

Run = Callable[[DictConfig], Any]


class Job:
    """The function that Hydra calls for each job, wherever that is.

    Launchers send it to other processes and machines, where they compose the config: to be there at all, it must have
    registered the resolvers that the config uses. It also takes its folder and its command with it, on which the
    relative paths and the record of a run depend.

    Args:
        run: Runs the task of a config; found by its name in the other process.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        functools.update_wrapper(self, run)  # Hydra looks for the module of what it calls

    def __call__(self, config: DictConfig) -> Any:
        """Place the job on its device and run it; a job that was started before goes on where it was."""
        config.resume = config.resume or _was_started_before()
        if config.launcher.name == "joblib":
            claim_device(config.launcher.jobs, config.trainer.accelerator)
        compute_with(threads_of_job(config))
        return self._run(config)

    def __reduce__(self) -> tuple[Callable[..., "Job"], tuple[Any, ...]]:
        return _arrive, (self._run, str(Path.cwd()), sys.argv)


def prepare_process() -> None:
    """Prepare a process for composing configs and for computing."""
    # Threads that wait for their next task must not spin: on shared cores that made runs several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
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


def _arrive(run: Run, folder: str, arguments: list[str]) -> Job:
    prepare_process()
    with suppress(OSError):  # which a run with an absolute folder does not need
        os.chdir(folder)
    sys.argv = arguments
    return Job(run)
