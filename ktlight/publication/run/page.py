"""The page of one transfer, from the files of its folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ktlight.data.dataset import ImageTable
from ktlight.publication.content import Figure, Page
from ktlight.publication.page import write_page
from ktlight.publication.run.map import run_map
from ktlight.publication.run.record import RunRecord, read_run
from ktlight.publication.run.tables import run_tables
from ktlight.report.advice import better_teacher
from ktlight.report.folder import PAGE


def write_run_page(folder: Path, images: ImageTable | None = None) -> Page:
    """Write the page of a finished transfer, and return it.

    Args:
        folder: The folder of the run.
        images: The images that it was evaluated on, for examples; none if they are not at hand.
    """
    page = run_page(read_run(folder), images)
    write_page(page, folder / PAGE)
    return page


def run_page(record: RunRecord, images: ImageTable | None = None) -> Page:
    """Return the page of a transfer."""
    results = record.results
    return Page(
        title=f"{results['teacher']} → {results['student']} by {results['method']} on {results['data']}",
        overview=list(overview(results)),
        pair_map=run_map(record, images),
        tables=run_tables(record),
        figures=figures(record),
        provenance={"Config": record.config, "Environment": record.environment, "Seconds": seconds(results)},
    )


def overview(results: dict[str, Any]) -> Iterator[str]:
    """Yield what came of the transfer, in words."""
    low, high = results["transfer_delta_ci95"]
    delta, samples = results["transfer_delta"], f"{results['num_eval']:,}"
    verdict = "is better for it" if low > 0 else "is worse for it" if high < 0 else "is neither better nor worse for it"
    said = f"a change of {delta:+.2f} points (95% interval {low:+.2f} to {high:+.2f})"
    if results["epochs"]:
        yield (
            f"The student {verdict}: it was right on {results['acc_before']:.2f}% of {samples} held-out samples, "
            f"and now is on {results['acc_after']:.2f}%, {said}."
        )
        yield (
            f"It gained {results['knowledge_gain']:.2f}% of the samples, wrong before and right now, and lost "
            f"{results['knowledge_loss']:.2f}%, right before and wrong now."
        )
    else:
        yield (
            f"The ensemble, without any training, is right on {results['acc_after']:.2f}% of {samples} held-out "
            f"samples, the student alone on {results['acc_before']:.2f}%: {said}."
        )
    yield _knowledge(results)
    if remark := better_teacher(results):
        yield f"Still, {remark}." if results["epochs"] else f"{remark.capitalize()}."


def _knowledge(results: dict[str, Any]) -> str:
    several = "teachers" in results
    who = "a teacher" if several else f"the teacher, right on {results['acc_teacher']:.2f}%,"
    known = f"On {results['complementary_knowledge']:.2f}% {who} was right and the student wrong"
    rate = results["transfer_rate"]
    return f"{known}." if rate is None else f"{known}; of those, {rate:.2f}% are right now."


def figures(record: RunRecord) -> list[Figure]:
    """Return the curves, if anything was trained."""
    if not record.curves["value"]:
        return []
    from ktlight.publication.draw import svg
    from ktlight.publication.figures.curves import curves

    before, teacher = record.results["acc_before"], record.results["acc_teacher"]
    start = {"epoch": 0, "panel": "accuracy", "series": "student", "value": before}
    rows = {name: [start[name], *cells] for name, cells in record.curves.items()}
    caption = (
        "After each epoch, one stage after another. Dashed lines: accuracies of the student before "
        f"({before:.2f}%) and of the {'best ' * (len(record.teachers) > 1)}teacher ({teacher:.2f}%)."
    )
    return [Figure("curves", "Training", caption, svg(curves(rows, [before, teacher])))]


def seconds(results: dict[str, Any]) -> str:
    """Return the time that each phase of the run took."""
    return "\n".join(f"{phase}: {duration:.2f}" for phase, duration in results["seconds"].items())
