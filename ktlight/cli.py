"""The command line: check the overrides, let Hydra compose the config, and run its task."""

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ktlight.config.instantiate import check_parts
from ktlight.config.location import config_directory
from ktlight.config.overrides import check_overrides, check_several
from ktlight.config.sweep import show_comparison
from ktlight.config.trust import check_folders
from ktlight.errors import Preempted, UserError
from ktlight.preemption import STATUS, asked_to_leave, forget, leave_if_asked, leaving_when_asked
from ktlight.report.files import check_writable
from ktlight.report.owned import check_free, check_owned
from ktlight.report.secrets import redacted
from ktlight.sweeps.sweeper import outcome
from ktlight.training.processes import is_first_process
from ktlight.training.started import check_placement
from ktlight.training.worker import Entry, Job, leave_allocation, prepare_process

INTERRUPTED = 130
"""Exit status of a program ended by Ctrl-C, as in shells."""

TRACEBACK = "HYDRA_FULL_ERROR"
"""The environment variable that, set to 1, shows the traceback of an unexpected error; Hydra's own."""


def main() -> None:
    """Run ``ktlight``; the same as ``python run.py``."""
    prepare_process()
    forget()
    try:
        config = _check(sys.argv[1:])
        if config is not None and (looked := _look(config)) is not None:
            sys.exit(looked)
        _run_jobs(config)
    except UserError as error:
        sys.exit(f"error: {redacted(error)}")
    except KeyboardInterrupt as stop:
        print(f"interrupted{stop}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Preempted as stop:
        if is_first_process():  # in others, Lightning would take the status for a failure
            print(f"preempted{stop or _how_a_sweep_goes_on()}", file=sys.stderr)
            sys.exit(STATUS)
    except Exception as error:
        if os.environ.get(TRACEBACK) == "1":
            raise
        sys.exit(_defect(error))
    problem, unfinished = outcome()
    if problem is not None:
        sys.exit(f"error: {redacted(problem)}")
    if unfinished:
        print(f"{unfinished} jobs are left: the same command with resume=true goes on", file=sys.stderr)
        sys.exit(STATUS)


def _run_jobs(config: DictConfig | None) -> None:
    """Let Hydra run the job, or those of a sweep, and show what came of these."""
    try:
        with leaving_when_asked(pass_on=config is not None and config.launcher.name == "joblib"):
            hydra.main(version_base="1.3", config_path=str(config_directory()), config_name="config")(
                Job(run, run_pack)
            )()
    finally:
        if not isinstance(sys.exception(), Preempted):  # which is to end soon
            show_comparison()


def run(config: DictConfig) -> Any:
    """Run the task of one composed config and return its results (the job that Hydra calls)."""
    from ktlight.tasks.frame import run_task

    with _error_told(), _stop_told(config), leaving_when_asked():
        leave_if_asked()
        results = run_task(config)
        return results if config.sweep.objective is None else results[config.sweep.objective]


def run_pack(entries: Sequence[Entry]) -> None:
    """Run transfers of a sweep whose students are trained together."""
    from ktlight.tasks import pack

    with _error_told(), _stop_told(entries[0].config), leaving_when_asked():
        leave_if_asked()
        pack.run_pack(entries, _error_told)


@contextmanager
def _stop_told(config: DictConfig) -> Iterator[None]:
    """Say how a job goes on that was interrupted, or asked to leave."""
    try:
        yield
    except Preempted as stop:
        if config.launcher.name == "slurm":  # a job that returned would count as done, in the queue again or not
            sys.exit(STATUS)
        if not _is_elsewhere():
            raise Preempted(_how_to_go_on()) from stop
        print(f"preempted{_how_to_go_on()}", file=sys.stderr)  # its folder says that it is to go on
    except (KeyboardInterrupt, SystemExit) as stop:  # Lightning answers Ctrl-C by ending the process itself
        if asked_to_leave():  # a launcher ends it, after it has put the job back into the queue
            raise
        raise KeyboardInterrupt(_how_to_go_on()) from stop


@contextmanager
def _error_told() -> Iterator[None]:
    """Say what was wrong with a job, and end it."""
    try:
        yield
    except UserError as error:
        _fail(f"error: {redacted(error)}")
    except Exception as error:
        if os.environ.get(TRACEBACK) == "1":
            raise
        _fail(_defect(error, Path(HydraConfig.get().runtime.output_dir)))


def _defect(error: Exception, folder: Path | None = None) -> str:
    """Return a message about an error that nobody foresaw: what it says, and where its traceback is."""
    from ktlight.report.failure import FAILURE, read_failure
    from ktlight.training.failing import in_a_line

    kept = folder is not None and read_failure(folder) is not None
    where = f"{folder / FAILURE} has the details" if folder and kept else f"{TRACEBACK}=1 shows where it happened"
    return f"error: {redacted(in_a_line(error))}. This is a defect of ktlight: please report it; {where}"


def _how_to_go_on() -> str:
    """Return a message: what an interrupted run has kept, and the command that continues it."""
    from ktlight.report.folder import RunFolder

    job = HydraConfig.get()
    if job.mode == RunMode.MULTIRUN:
        return _how_a_sweep_goes_on()
    kept = RunFolder(Path(job.runtime.output_dir)).kept()
    if not kept:
        return f" before the first checkpoint: there is nothing to continue. Start again with: {_command()}"
    return f": {kept} kept. Continue with: {_command('resume=true')}"


def _how_a_sweep_goes_on() -> str:
    return f": finished jobs and checkpoints are kept. Continue with: {_command('resume=true')}"


def _command(*more: str) -> str:
    """Return the command that was typed, with or without resuming."""
    typed = [argument for argument in sys.argv[1:] if not argument.startswith("resume=")]
    program = ["python", sys.argv[0]] if sys.argv[0].endswith(".py") else [Path(sys.argv[0]).name]
    return shlex.join([*program, *typed, *more])


def _fail(message: str) -> None:
    """End the run with a message, to which Hydra would add lines of its own; of a sweep, the other jobs go on.

    What became of a job its folder says, on every launcher: an exception would cost others their results.
    """
    if HydraConfig.get().mode == RunMode.RUN:
        sys.exit(message)
    print(message, file=sys.stderr)


def _look(config: DictConfig) -> int | None:
    """Do a task that only looks, without Hydra, which would make a folder; None if the task is no such one."""
    from ktlight.tasks.frame import named_task

    task = named_task(config)
    return import_module(task.module).look(config) if task.looks else None


def _is_elsewhere() -> bool:
    """Return whether this is a job of a sweep in a process of its launcher."""
    job = HydraConfig.get()
    return bool(job.mode == RunMode.MULTIRUN and not job.launcher._target_.endswith("BasicLauncher"))


def _check_flags(typed: Namespace, folders: list[str]) -> None:
    """Raise `UserError` for flags that exclude each other, or by which Hydra would read what could run other code."""
    if typed.experimental_rerun is not None:
        raise UserError("--experimental-rerun reads a pickle, which can run code: give the options of the run again")
    if sum(map(bool, (typed.run, typed.multirun, typed.cfg, typed.info, typed.shell_completion))) > 1:
        raise UserError("give only one of --run, --multirun, --cfg, --info and --shell-completion")
    if typed.config_path is not None:
        raise UserError("the configs are ktlight's own: add a folder of yours with --config-dir")
    check_folders(folders)


def _check(arguments: list[str]) -> DictConfig | None:
    """Raise `UserError` if the arguments cannot work, before Hydra makes a folder for them.

    Returns:
        The config of the run, or of the first job of a sweep; None if the command only asks Hydra for help.
    """
    typed = get_args(arguments)
    folders = [str(Path(typed.config_dir).absolute())] if typed.config_dir else []
    _check_flags(typed, folders)
    if typed.help or typed.hydra_help or typed.shell_completion:
        return None
    from ktlight.tasks.frame import named_task

    config = check_overrides(typed.overrides, folders, typed.config_name or "config", typed.multirun)
    if typed.cfg or typed.info:
        return None
    is_sweep = typed.multirun or config.hydra.mode == RunMode.MULTIRUN
    check_several(typed.overrides, is_sweep)
    if named_task(config).parts:
        check_parts(config)
    if named_task(config).looks:
        if is_sweep:
            raise UserError(f"task={config.task.name} looks at runs once: leave out -m")
        return config
    if is_sweep:
        leave_allocation()
    else:
        check_placement(config.trainer)
    part = "sweep" if is_sweep else "run"
    option = f"hydra.{part}.dir=FOLDER"
    try:
        folder = config.hydra[part].dir
    except OmegaConfBaseException:
        return config  # it depends on what only the running job knows, such as its number
    check_writable(Path(folder), option)
    if not is_sweep and is_first_process():
        if not config.resume:
            check_owned(Path(folder), option)
        check_free(Path(folder))
    return config
