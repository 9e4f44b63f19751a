"""The comparison of all pairs of many models: its parts, beside a floor, and beside a Python loop over pairs."""

import argparse
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import log

import numpy as np
import torch

from bench.machine import measure_rates
from bench.measure import Row, Timings, arguments, finish, take_turns, timed
from ktlight.discovery.classes import class_figures
from ktlight.discovery.compare import AllAnswers, agreement_figures, flip_figures
from ktlight.discovery.relatedness import RelatedClasses
from ktlight.functional.class_flips import by_class, expertise
from ktlight.functional.pairwise import greedy_coverage
from ktlight.report.discovery import TOP_PERCENTS

SECONDS, GIGABYTES = 20, 4
"""Targets for the large case."""
WHOLE, LOOP, FLOOR = "all of it", "loop over pairs", "floor"


@dataclass(frozen=True)
class Case:
    """Numbers of models, samples and classes."""

    models: int
    samples: int
    classes: int

    def __str__(self) -> str:
        return f"{self.models} models x {self.samples} samples x {self.classes} classes"


LARGE, SMALL, QUICK = Case(301, 50_000, 1000), Case(40, 5000, 1000), Case(5, 200, 10)


def random_answers(case: Case) -> AllAnswers:
    """Return answers of models of 60 to 90% accuracy; wrong ones are any class."""
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(case.samples) % case.classes
    known = torch.rand(case.models, case.samples, generator=generator) < torch.linspace(0.6, 0.9, case.models)[:, None]
    said = torch.randint(case.classes, known.shape, generator=generator, dtype=torch.int32)
    return AllAnswers(
        prediction=torch.where(known, label.int(), said),
        confidence=torch.randn(known.shape, generator=generator),
        label=label,
        index=torch.arange(case.samples),
        num_classes=case.classes,
    )


def parts(answers: AllAnswers) -> dict[str, Callable[[], object]]:
    """Return the parts of the comparison by name."""
    assert answers.label is not None
    right_by_class = by_class(answers.right, answers.label, answers.num_classes)
    return {
        "flips, intervals, kappa, ensemble": lambda: flip_figures(answers, resamples=0, seed=0),
        "agreement and class drift": lambda: agreement_figures(answers),
        "per class: entropy, top-p% classes": lambda: class_figures(right_by_class, RelatedClasses({}, 0, 0)),
        "expertise": lambda: expertise(right_by_class),
        "coverage of 5 models": lambda: greedy_coverage(answers.right, 5),
    }


def floor(case: Case) -> float:
    """Return the least seconds from the operations: whatever the order, each is done once.

    Two products over all samples (flips in all and by class, a multiplication and an addition each), one comparison of
    confidences and one of predictions for half of the pairs, and every count of a class written and read once.
    """
    pairs = case.models**2
    rates = measure_rates(torch.device("cpu"))
    return rates.seconds((4 + 1) * pairs * case.samples, 2 * 4 * pairs * case.classes)


def loop_over_pairs(answers: AllAnswers) -> list[tuple[float, float, list[int]]]:
    """Return positive flips, entropy and numbers of top classes of every pair, one pair after the other."""
    assert answers.label is not None
    label, found = answers.label.tolist(), []
    said = answers.prediction.tolist()
    for teacher in said:
        for student in said:
            flips = [c for c, one, other in zip(label, teacher, student, strict=True) if one == c != other]
            counts = sorted(Counter(flips).values(), reverse=True)
            shares = [count / len(flips) for count in counts]
            held = np.cumsum(counts) if counts else np.zeros(0)
            tops = [int(np.count_nonzero(held < percent / 100 * len(flips))) + 1 for percent in TOP_PERCENTS]
            found.append((len(flips) / len(label), -sum(share * log(share) for share in shares), tops))
    return found


def whole(times: Timings, case: Case, processor: float) -> Row:
    """Return the row of the sum of all parts, judged by time and memory in the large case."""
    seconds = sum(min(each) for each in times.seconds.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    target = f"<= {SECONDS} s, {GIGABYTES} GiB" if case == LARGE else None
    met = seconds <= SECONDS and peak <= GIGABYTES if target else None
    return Row(
        WHOLE, 1000 * seconds, target=target, met=met, note=f"{processor:.1f} s of processor time, peak {peak:.1f} GiB"
    )


def beside_a_loop(case: Case, options: argparse.Namespace) -> list[Row]:
    """Return the same figures by the loop and by ours, on a small case."""
    answers = random_answers(case)

    def ours() -> None:
        assert answers.label is not None
        flip_figures(answers, resamples=0, seed=0)
        class_figures(by_class(answers.right, answers.label, case.classes), RelatedClasses({}, 0, 0))

    name = f"ours, {case}"
    times = take_turns(
        {LOOP: timed(lambda: loop_over_pairs(answers)), name: timed(ours)}, 0, least=1 if options.quick else 3
    )
    return [times.row(LOOP), times.row(name, LOOP, at_most=0.5)]


def main(given: list[str] | None = None) -> None:
    options = arguments(__doc__ or "", seconds=0).parse_args(given)
    case = QUICK if options.quick else LARGE
    answers = random_answers(case)
    variants = {name: timed(run) for name, run in parts(answers).items()}
    started = time.process_time()
    times = take_turns(variants, options.seconds, least=1)
    processor = (time.process_time() - started) / len(next(iter(times.seconds.values())))
    rows = [Row(FLOOR, 1000 * floor(case), note=f"{torch.get_num_threads()} threads")]
    rows += [*(times.row(name) for name in times.seconds), whole(times, case, processor)]
    rows += beside_a_loop(QUICK if options.quick else SMALL, options)
    finish(options, f"comparing all pairs of {case}", rows)


if __name__ == "__main__":
    main()
