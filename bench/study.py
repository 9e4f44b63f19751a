"""Tables over many transfers: what each method does on average, and by how good the teacher is.

    python -m bench.study runs/sweep-1 runs/sweep-2 [--by method,guard]

Reads the results.json of all runs below the folders and prints Markdown. The unit is the pair of teacher and student:
seeds are averaged first, and the interval is that of the mean over pairs (Student's t), since runs that share a pair
are no independent samples.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ktlight.errors import UserError
from ktlight.functional.statistics import mean_interval
from ktlight.report.runs import read_runs

EQUAL = 3.0  # points of accuracy within which a teacher is about as good as the student
GROUPS = ("weaker", "about equal", "stronger")


def main() -> None:
    """Print the tables of the folders on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders with runs somewhere below")
    parser.add_argument("--by", default="method", help="fields of results.json that make up a row, with commas")
    options = parser.parse_args()
    print(table(read_transfers(options.folders), options.by.split(",")))


def read_transfers(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the results of all finished transfers below the folders; what cannot be read is named on stderr.

    Raises:
        UserError: There are none.
    """
    runs, unreadable = read_runs(folders)
    for each in unreadable:
        print(each, file=sys.stderr)
    found = [run.results for run in runs if run.results["task"] == "transfer"]
    if not found:
        raise UserError(f"no finished transfers in {', '.join(map(str, folders))}")
    return [results | {"guard": "guarded" if results["guard"] else "off"} for results in found]


def table(runs: Sequence[Mapping[str, Any]], by: Sequence[str]) -> str:
    """Return the Markdown table, a row for each value of the fields ``by``, in order of the mean delta."""
    rows: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        rows[tuple(run[field] for field in by)].append(run)
    ordered = sorted(rows.items(), key=lambda row: -fmean(run["transfer_delta"] for run in row[1]))
    heading = [*by, "runs (pairs)", "mean delta", "95% interval", "success", "gain", "loss", *GROUPS]
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    lines += ["| " + " | ".join([*map(str, key), *cells(row)]) + " |" for key, row in ordered]
    return "\n".join(lines)


def cells(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the figures of one row: counts, mean delta, interval, success rate, gain, loss, mean delta by group."""
    deltas = by_pair(runs, "transfer_delta")
    low, high = mean_interval(list(deltas.values()))
    success = fmean(run["transfer_delta"] > 0 for run in runs)
    groups = []
    for name in GROUPS:
        inside = [run for run in runs if group_of(run) == name]
        won = sum(run["transfer_delta"] > 0 for run in inside)
        groups.append(
            f"{fmean(by_pair(inside, 'transfer_delta').values()):+.2f} ({won}/{len(inside)})" if inside else "-"
        )
    return [
        f"{len(runs)} ({len(deltas)})", f"{fmean(deltas.values()):+.2f}", f"{low:+.2f} to {high:+.2f}",
        f"{100 * success:.0f}%", f"{fmean(run['knowledge_gain'] for run in runs):.2f}",
        f"{fmean(run['knowledge_loss'] for run in runs):.2f}", *groups,
    ]  # fmt: skip


def by_pair(runs: Iterable[Mapping[str, Any]], field: str) -> dict[tuple[str, str], float]:
    """Return the mean of a field over the runs of each pair of teacher and student."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        values[run["teacher"], run["student"]].append(run[field])
    return {pair: fmean(each) for pair, each in values.items()}


def group_of(run: Mapping[str, Any]) -> str:
    """Return whether the teacher is weaker, about equal or stronger than the student before."""
    difference = run["acc_teacher"] - run["acc_before"]
    return GROUPS[1] if abs(difference) <= EQUAL else GROUPS[2] if difference > 0 else GROUPS[0]


if __name__ == "__main__":
    main()
