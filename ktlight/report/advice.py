"""Advice that depends on the outcome of a transfer."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def next_step(results: Mapping[str, Any], typed: Sequence[str], folder: str) -> str:
    """Return what to do after a run, which is never the same run again.

    After a change within noise: more steps. After a loss: a method or a guard that prevents it. After a gain: how to
    use the student.

    Args:
        results: The run's results.
        typed: Its command-line options.
        folder: Its folder.
    """
    low, high = results["transfer_delta_ci95"]
    guard, method = results["guard"], results["method"]
    undone = guard is not None and guard["share"] == 0  # it was a loss on the held-out images
    if not results["epochs"]:
        return command(typed, "method=kl_dp")
    if low > 0:
        return f"use it in further runs: student.checkpoint={folder}/student (or teacher.checkpoint=)"
    if (high < 0 or undone) and method != "kl_dp":
        return command(typed, "method=kl_dp")
    if high >= 0:
        return command(typed, _twice_the_steps(results, typed))
    return command(typed, "guard=wise") if guard is None else command(typed, "method=ensemble")


def command(typed: Sequence[str], change: str) -> str:
    """Return the command with one option changed and all others kept.

    A method comes with its own router, restraint and options, so those are dropped with the old method.

    >>> command(["method=kl", "router=soft", "+router.sharpness=2", "seed=1"], "method=kl_dp")
    'python run.py seed=1 method=kl_dp'
    """
    changed = {change.partition("=")[0], "resume"}
    if "method" in changed:
        changed |= {"router", "restraint", "optim.peers"}
    kept = [option for option in typed if not _concerns(option, changed)]
    return shlex.join(["python", "run.py", *kept, change])


def better_teacher(results: Mapping[str, Any]) -> str:
    """Return a remark if the (best) teacher is still more accurate than the student after the transfer."""
    if results["acc_teacher"] <= results["acc_after"]:
        return ""
    several = results.get("teachers", [])
    best = max(range(len(several)), key=lambda number: several[number]["acc"]) if several else None
    role = "teacher" if best is None else f"teacher{best + 1}"
    ratio = results["models"][role]["parameters"] / results["models"]["student"]["parameters"]
    times = f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}"
    size = "and is as large" if times == "1" else f"{'with' if ratio > 1 else 'and has'} {times} times the parameters"
    return f"the teacher is better, {size}"


def _twice_the_steps(results: Mapping[str, Any], typed: Sequence[str]) -> str:
    if any(_concerns(option, {"schedule.total_epochs"}) for option in typed):
        return f"schedule.total_epochs={2 * results['epochs']}"
    return f"trainer.max_epochs={2 * results['epochs'] // max(1, len(results.get('stages', [])))}"


def _concerns(option: str, names: set[str]) -> bool:
    key = option.partition("=")[0].lstrip("+~")
    return any(key == name or key.startswith(f"{name}.") for name in names)
