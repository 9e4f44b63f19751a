"""Sweeps: naming the jobs, recognising finished ones, and what a job costs besides its training.

A job is done first with Hydra's composition and then with ours; the rest of its bookkeeping is the difference between a
whole job of the command line and the training in it, by the seconds that its results give.
"""

import contextlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from unittest.mock import patch

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from bench.measure import Row, arguments, finish
from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import register_resolvers
from ktlight.models.names import architectures
from ktlight.report.plan import Job
from ktlight.report.state import State
from ktlight.sweeps.composition import SweepLoader
from ktlight.sweeps.naming import folder_names
from ktlight.sweeps.standing import standings

METHODS = ("kl", "kl_dp", "xe_kl", "kdcl")
JOB = 10.0
"""Seconds of the job whose bookkeeping is to be at most a fiftieth."""


def main(given: list[str] | None = None) -> None:
    options = arguments(__doc__ or "", seconds=30).parse_args(given)
    count = 100 if options.quick else 10_000
    register_models()
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        master = compose("config", [], return_hydra_config=True)
        loader = SweepLoader(GlobalHydra.instance().config_loader(), master)
        jobs = job_options(count)
        planning = spent(lambda: folder_names(loader, jobs))
        whole = [spent(lambda: loader.load_configuration("config", jobs[0], RunMode.RUN)) for _ in range(10)]
        own = [spent(partial(loader.composed, job)) for job in jobs[:10]]
    GlobalHydra.instance().clear()
    recognising = recognised(count)
    rest = bookkeeping(1 if options.quick else 8)
    rows = [
        target(f"naming the folders of {count:,} jobs", planning, 60 * count / 10_000),
        target(f"recognising {count:,} finished jobs", recognising, 10 * count / 10_000),
        Row("composing a job, Hydra's way", 1000 * median(whole)),
        Row("composing a job of a sweep", 1000 * median(own)),
        target("a job besides loading, training and writing", rest, JOB / 50),
    ]
    finish(options, "sweeps", rows)


def target(name: str, seconds: float, most: float) -> Row:
    """Return a row with its target in seconds as a ratio."""
    return Row(name, 1000 * seconds, seconds / most, "<= 1", seconds <= most, f"{most:g} s")


def job_options(count: int) -> list[list[str]]:
    """Return the options of a sweep over pairs of models, methods and seeds."""
    names = architectures()[:40]
    seeds = max(1, count // (20 * 20 * len(METHODS)) + 1)
    jobs = [
        ["resume=true", f"student={s}", f"teacher={t}", f"method={m}", f"seed={n}"]
        for n, m, s, t in product(range(seeds), METHODS, names[:20], names[20:])
    ]
    return jobs[:count]


def recognised(count: int) -> float:
    """Return the seconds of looking at so many finished jobs."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = [Job(f"job{number}", ()) for number in range(count)]
        for job in jobs:
            (Path(folder) / job.folder).mkdir()
            (Path(folder) / job.folder / "results.json").write_text("{}")
        started = time.perf_counter()
        found = standings(Path(folder), jobs)
        assert {each.state for each in found} == {State.DONE}
        return time.perf_counter() - started


def bookkeeping(jobs: int) -> float:
    """Return the seconds of a job in a sweep that its own record of phases does not account for."""
    from ktlight import cli

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), quietly(folder):
        typed = ["trainer.max_epochs=1", "pretrain.epochs=1", "pretrain.seed=0", "trainer.progress=false"]
        times: list[float] = []
        run = cli.run
        before = 0.0

        def noted(config: object) -> object:
            nonlocal before
            results = run(config)  # type: ignore[arg-type]
            now = time.perf_counter()
            if before:
                times.append(now - before - sum(results["seconds"].values()))
            before = now
            return results

        seeds = ",".join(map(str, range(jobs + 1)))
        with patch.object(cli, "run", noted), patch.object(sys, "argv", ["run.py", "-m", f"seed={seeds}", *typed]):
            cli.main()
        return median(times)


@contextlib.contextmanager
def quietly(folder: str) -> Iterator[None]:
    """Keep models and outputs in a folder, and say nothing."""
    with (
        patch.dict(os.environ, {"KTLIGHT_CACHE": f"{folder}/cache"}),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield


def spent(run: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
