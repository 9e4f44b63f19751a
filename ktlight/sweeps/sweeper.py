"""Hydra's sweeper for ktlight: it plans a sweep, leaves out what is done, and reads what became of it from folders."""

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from ktlight.config.swept import is_of_pairs
from ktlight.errors import UserError
from ktlight.preemption import leave_if_asked
from ktlight.report.plan import Job, write_plan
from ktlight.report.state import State
from ktlight.sweeps.carry_out import Needs, Rules, Stopped, carry_out, due, to_prepare
from ktlight.sweeps.composition import SweepLoader
from ktlight.sweeps.dry_run import count_methods, print_dry_run, said_of_pairs
from ktlight.sweeps.naming import folder_names
from ktlight.sweeps.packs import PackedJobs, Packs, check_packs
from ktlight.sweeps.pairs import PairRun, check_experiment, of_the_runs, pair_runs
from ktlight.sweeps.preparation import preparations
from ktlight.sweeps.standing import counted, failures, standings

QUEUELESS = ("BasicLauncher", "JoblibLauncher")
"""Launchers that leave nothing running or waiting behind when they stop."""


class Plan(NamedTuple):
    """What a sweep is to do.

    Attributes:
        jobs: Its jobs.
        needs: By the folder of a run, those of the jobs that prepare its models.
        pairs: Its runs as pairs, if it is a sweep over these.
    """

    jobs: list[Job]
    needs: Needs
    pairs: list[PairRun]


class PlannedSweeper(Sweeper):
    """Plans all jobs, then launches what is left of them; see `ktlight.sweeps.carry_out`."""

    problem: ClassVar[UserError | None] = None
    """What is to be said when the sweep is over: Hydra would add lines of its own to an exception."""
    unfinished: ClassVar[int] = 0
    """Jobs that are neither done nor failed: the same command goes on."""

    config: DictConfig  # which Hydra gives before it sweeps

    def __init__(self, max_batch_size: int | None = None, params: Mapping[str, str] | None = None) -> None:
        self.max_batch_size = max_batch_size
        self.params = dict(params or {})
        self.started = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take over the context of a sweep, with a loader that composes jobs faster."""
        self.config = config
        self.loader = SweepLoader(hydra_context.config_loader, config)  # type: ignore[arg-type]
        own = HydraContext(config_loader=self.loader, callbacks=hydra_context.callbacks)
        self.packs = Packs(self.loader, config.sweep.pack)
        self.jobs = PackedJobs(cast(Any, task_function), self.loader, config)
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(own, self.jobs, config)

    def sweep(self, arguments: list[str]) -> None:
        """Plan the sweep and carry it out."""
        PlannedSweeper.problem, PlannedSweeper.unfinished = None, 0
        try:
            self._sweep(arguments)
        except UserError as error:
            PlannedSweeper.problem = error

    def _sweep(self, arguments: list[str]) -> None:
        folder = Path(self.config.hydra.sweep.dir)
        check_packs(self.packs.size, self.config.launcher.name)
        plan = self.plan(arguments)
        launcher = str(self.config.hydra.launcher._target_).rpartition(".")[2]
        rules = Rules(
            resume=self.config.resume,
            retry=self.config.sweep.retry == "failed",
            stop_after=self.config.sweep.stop_after,
            restart=launcher in QUEUELESS,
            at_a_time=self.packs.size * self.config.hydra.launcher.get("n_jobs", 1),
        )
        if self.config.dry_run:
            self._say(folder, plan, rules)
            return
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        write_plan(folder, plan.jobs, self.config.launcher.name)
        if rules.resume:
            print(said_of(folder, plan, rules))
        if packed := self._packed(folder, plan, rules):
            print(packed)
        stopped = ""
        try:
            carry_out(folder, plan.jobs, plan.needs, self._launch, rules)
        except Stopped as error:
            stopped = f"{error}. "
        self._report(folder, plan.jobs, rules, stopped)

    def _say(self, folder: Path, plan: Plan, rules: Rules) -> None:
        runs = [job for job in plan.jobs if not job.prepares]
        stand = standings(folder, runs)
        left = set(due(stand, rules))
        first = due(standings(folder, to_prepare(folder, plan.jobs, plan.needs, rules)), rules)
        each: Sequence[PairRun | Job] = plan.pairs or runs
        wanted = [run for run, job in zip(each, runs, strict=True) if job in left]
        found = standings(folder, [*first, *(job for job in runs if job in left)])
        methods = count_methods(plan.pairs, runs, stand, left) if plan.pairs else []
        pairs = said_of_pairs(plan.pairs) if plan.pairs else ""
        lines = filter(None, [said_of(folder, plan, rules), pairs, self._packed(folder, plan, rules)])
        print_dry_run(self.loader, "\n".join(lines), methods, found, wanted)

    def _packed(self, folder: Path, plan: Plan, rules: Rules) -> str:
        return self.packs.said(due(standings(folder, [job for job in plan.jobs if not job.prepares]), rules))

    def _report(self, folder: Path, jobs: Sequence[Job], rules: Rules, stopped: str) -> None:
        found = standings(folder, jobs, not rules.resume)
        failed = [each for each in found if each.state == State.FAILED]
        left = [each for each in found if each.state not in (State.DONE, State.FAILED) and not each.job.prepares]
        PlannedSweeper.unfinished = len(left)
        if failed or stopped:
            mend = "; sweep.retry=failed repeats them, once what was wrong is mended" * (rules.resume and bool(failed))
            count = f"{len(failed)} of the {len(jobs)} jobs failed{mend}" if failed else ""
            raise UserError(f"{stopped}{count}{failures(folder, found)}")

    def plan(self, arguments: list[str]) -> Plan:
        """Return all jobs of the sweep."""
        typed = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        if not is_of_pairs(self.config):
            runs = self._product(typed)
            return Plan(self._named(runs), {}, [])
        pairs = pair_runs(self.config, self.loader, self._product(of_the_runs(typed, self.config)))
        check_experiment(self.config, self.loader, typed, pairs[0])
        jobs = self._named([[*run.overrides, "resume=true"] for run in pairs])
        first = preparations(self.config, self.loader, pairs)
        prepared = self._named([options for options, _ in first], prepares=True)
        needs: dict[str, list[str]] = defaultdict(list)
        for job, (_, numbers) in zip(prepared, first, strict=True):
            for number in numbers:
                needs[jobs[number].folder].append(job.folder)
        return Plan([*prepared, *jobs], needs, pairs)

    def _named(self, runs: Sequence[Sequence[str]], prepares: bool = False) -> list[Job]:
        names = folder_names(self.loader, runs)
        if len(set(names)) < len(names):
            twice = next(name for name, times in Counter(names).items() if times > 1)
            raise UserError(f"two jobs of the sweep are the same run, {twice}: give each value once")
        return [Job(name, tuple(run), prepares) for name, run in zip(names, runs, strict=True)]

    def _product(self, typed: Sequence[str]) -> list[list[str]]:
        # Hydra loads its plugins a second time when it looks for them, after which this is another class.
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        overrides = OverridesParser.create(config_loader=self.loader).parse_overrides(list(typed))
        return BasicSweeper.split_arguments(overrides, None)[0]

    def _launch(self, jobs: Sequence[Job]) -> Exception | None:
        leave_if_asked()
        packs = self.packs.of(jobs)
        self.jobs.lead(packs)
        size = self.max_batch_size or len(packs)
        try:
            for start in range(0, len(packs), size):
                leave_if_asked()
                batch = [list(pack[0].overrides) for pack in packs[start : start + size]]
                first, self.started = self.started, self.started + len(batch)
                self.launcher.launch(batch, initial_job_idx=first)
        except Exception as error:
            line = str(error).strip().partition("\n")[0]
            print(f"the launcher stopped ({type(error).__name__}: {line}); finished jobs are kept", file=sys.stderr)
            return error
        return None


def outcome() -> tuple[UserError | None, int]:
    """Return what went wrong in the sweep that has just ended, and how many of its jobs are left."""
    said = PlannedSweeper.problem, PlannedSweeper.unfinished
    PlannedSweeper.problem, PlannedSweeper.unfinished = None, 0
    return said


def said_of(folder: Path, plan: Plan, rules: Rules) -> str:
    """Return what a sweep is about to do, in a line."""
    runs = standings(folder, [job for job in plan.jobs if not job.prepares])
    first = due(standings(folder, to_prepare(folder, plan.jobs, plan.needs, rules)), rules)
    prepare = f", after preparing {len(first)} of their models" if first else ""
    return f"{len(runs)} runs in {folder}: {counted(runs)}; {len(due(runs, rules))} to do{prepare}"
