"""The engines that run the jobs of a sweep (`launcher=`): what each can do, and what it is asked for.

The engines are Hydra's launchers; nothing here starts anything.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig

from ktlight.errors import UserError

EXTRAS = {"submitit_slurm": "slurm", "ray": "ray"}
"""Hydra's launchers that need a further package, and the name of launcher and extra."""
PLACED = ("trainer", "trainer.devices", "trainer.num_nodes", "trainer.accelerator")
"""Options that say how many processes and devices a job has; Slurm is told once for the whole sweep."""


def missing_package(message: str) -> str | None:
    """Return what to install, if Hydra's message says that a launcher is not there."""
    for launcher, extra in EXTRAS.items():
        if f"hydra/launcher/{launcher}'" in message:
            return f"launcher={extra} needs its package: pip install 'ktlight[{extra}]'"
    if "hydra/sweeper/optuna'" in message:
        return "experiment=sweep/optuna needs its package: pip install 'ktlight[optuna]'"
    return None


def check_launcher(config: DictConfig, overrides: Sequence[Override], is_sweep: bool) -> None:
    """Check that the launcher can start the jobs.

    Args:
        config: The config of the run, or of the first job of a sweep.
        overrides: The overrides as typed.
        is_sweep: Whether there are jobs to start.

    Raises:
        UserError: It cannot; the message says how the same can be had.
    """
    name = config.launcher.name
    if not is_sweep and config.dry_run:
        raise UserError("dry_run=true says what a sweep would do: add -m (with nothing varied, the sweep is one run)")
    if not is_sweep:
        if name != "local":
            raise UserError(
                f"launcher={name} starts the jobs of a sweep: add -m (with nothing varied, the sweep is one job), "
                "or leave the launcher out"
            )
        return
    _check_overrides(name, overrides)
    _check_single_process()
    if name == "slurm":
        _check_slurm(config)
    else:
        _check_single_device(config)


def _check_overrides(name: str, overrides: Sequence[Override]) -> None:
    for override in overrides:
        key, line = override.key_or_group, override.input_line
        if key == "hydra/launcher":
            raise UserError(f"{line}: choose the engine with launcher=local, joblib, slurm or ray")
        if override.is_sweep_override() and key.partition(".")[0] == "launcher":
            raise UserError(f"{line}: one launcher starts all jobs of a sweep, with the same options")
        if name == "slurm" and override.is_sweep_override() and key in PLACED:
            raise UserError(f"{line}: under launcher=slurm all jobs get the same devices, so make it a sweep for each")
        if name == "slurm" and key in ("hydra.launcher.tasks_per_node", "hydra.launcher.nodes"):
            raise UserError(f"{line}: a job has a process for each device; say trainer.devices and trainer.num_nodes")


def _check_single_process() -> None:
    for variable, starter in (("SLURM_STEP_NUM_TASKS", "srun"), ("WORLD_SIZE", "torchrun")):
        if int(os.environ.get(variable) or 1) > 1:
            raise UserError(
                f"{starter} starts {os.environ[variable]} processes, and each would run the whole sweep: start a sweep "
                f"once, without {starter}; launcher=slurm gives each of its jobs a process for each device"
            )


def _check_single_device(config: DictConfig) -> None:
    name, devices = config.launcher.name, config.trainer.devices
    if config.trainer.num_nodes > 1 or _count(devices) > 1 or (name != "local" and _count(devices) != 1):
        raise UserError(
            f"trainer.devices={devices} in a sweep: launcher={name} gives each job one process with one device. Use "
            "launcher=slurm, which starts a process for each device, or trainer.devices=1 "
            f"{'with launcher=joblib, ' if name == 'local' else '(not trainer=ddp), '}one job a device"
        )
    share = config.launcher.get("gpus_per_job") or 0
    if share > 1:
        raise UserError(
            f"launcher.gpus_per_job={share}: under launcher={name} a job uses one GPU, or a part of one such as 0.25; "
            "for several use launcher=slurm"
        )


def _check_slurm(config: DictConfig) -> None:
    devices, share = config.trainer.devices, config.launcher.gpus_per_job
    if not isinstance(devices, int) or devices < 1:
        raise UserError(
            f"trainer.devices={devices}: launcher=slurm asks Slurm for a process for each device of a job, so give "
            "their number, as in trainer.devices=2"
        )
    if share not in (None, 0, devices):
        raise UserError(
            f"launcher.gpus_per_job={share} does not fit trainer.devices={devices}, which is how many processes a job "
            f"has on each node, one a GPU: leave it out, or launcher.gpus_per_job={devices}. For several small jobs on "
            "a GPU use launcher=ray or launcher=joblib in an allocation of yours"
        )
    if not config.get("dry_run"):
        _check_slurm_answers()


def _check_slurm_answers() -> None:
    elsewhere = "Start the sweep where it does, such as on a login node, or use launcher=joblib on this machine"
    if not shutil.which("sbatch"):
        raise UserError(f"launcher=slurm: Slurm's sbatch is not to be found here. {elsewhere}")
    asked = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True)
    if asked.returncode:
        reason = asked.stderr.strip().rpartition("\n")[2]
        raise UserError(f"launcher=slurm: Slurm does not answer here ({reason}). {elsewhere}")
    if subprocess.run(["sacct", "--noheader"], capture_output=True).returncode:
        print(
            "note: Slurm keeps no accounts here (sacct fails), so a job that is killed is waited for without end; "
            "Ctrl-C and the same command go on without it",
            file=sys.stderr,
        )


def _count(devices: object) -> int:
    """Return the number of devices that ``trainer.devices`` names; 0 if that depends on the machine."""
    if isinstance(devices, ListConfig | list):
        return len(devices)
    return devices if isinstance(devices, int) and devices > 0 else 0


def jobs_at_a_time(jobs: int | None, cpus_per_job: int | None, accelerator: str) -> int:
    """Return how many jobs run at a time on this machine: one for each GPU, without GPUs for each core."""
    if jobs is not None:
        return jobs
    return gpus_here(accelerator) or max(1, cores() // (cpus_per_job or 1))


def threads_of_job(config: DictConfig) -> int | None:
    """Return how many threads a job computes with; None: as many as the machine has cores."""
    launcher = config.launcher
    if launcher.name == "joblib" and launcher.cpus_per_job is None:
        return max(1, cores() // jobs_at_a_time(launcher.jobs, None, config.trainer.accelerator))
    threads: int | None = launcher.cpus_per_job
    return threads


def gpus_of_node(gpus_per_job: int | None, devices: int, accelerator: str) -> int | None:
    """Return how many GPUs a job asks for on each node; None: it does not ask."""
    return (devices if accelerator == "gpu" else None) if gpus_per_job is None else gpus_per_job or None


def gpus_of_task(gpus_per_job: float | None, accelerator: str) -> float:
    """Return which part of a GPU a task of Ray asks for: a whole one, if this machine has any, unless it is said."""
    return min(1, gpus_here(accelerator)) if gpus_per_job is None else gpus_per_job


def bytes_of(gigabytes: float | None) -> int | None:
    """Return a size in bytes."""
    return None if gigabytes is None else int(gigabytes * 1e9)


def gpus_here(accelerator: str) -> int:
    """Return how many GPUs jobs could run on; none if they run on the CPU."""
    if accelerator == "cpu":
        return 0
    import torch

    return torch.cuda.device_count()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))
