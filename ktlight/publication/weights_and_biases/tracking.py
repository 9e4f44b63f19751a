"""A run at Weights & Biases whose failures are told of in one line, and fail nothing."""

import logging
import netrc
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ktlight.report.secrets import redacted

logger = logging.getLogger(__name__)

START_SECONDS = 30
"""How long to wait for the server before running offline; W&B's default is 90 s."""
END_SECONDS = 120
"""How long an upload at the end may take; W&B's default is for ever. The rest stays on the disk, to be synced."""
THEN = {"online": "it runs offline, as WANDB_MODE=offline would without trying", "offline": "nothing is logged there"}
"""What follows where a run cannot begin."""
PREEMPTED = os.EX_TEMPFAIL


def has_credentials() -> bool:
    """Return whether W&B can be reached with an account; else it runs offline."""
    if os.environ.get("WANDB_MODE") == "offline":
        return False
    if os.environ.get("WANDB_API_KEY"):
        return True
    server = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    try:
        return netrc.netrc().authenticators(server) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class Tracked:
    """A run at W&B, online with credentials, else offline; None of either if W&B cannot even write.

    Args:
        folder: Where its files go, in a folder ``wandb``.
        **given: Arguments of ``wandb.init``.
    """

    def __init__(self, folder: Path, **given: Any) -> None:
        self.run: Any = None
        self.summary: dict[str, Any] = {}
        for mode in ["online", "offline"] if has_credentials() else ["offline"]:
            try:
                self.run = _begun(folder, mode, given)
            except Exception as error:
                _forget()
                then = (
                    "it runs offline, as WANDB_MODE=offline would without trying"
                    if mode == "online"
                    else "nothing is logged there"
                )
                logger.warning("W&B: %s, so %s", _in_a_line(error), then)
            if self.run is not None:
                break

    def do(self, action: Callable[[Any], object]) -> None:
        """Do something with the run, unless something has gone wrong before."""
        if self.run is None:
            return
        try:
            action(self.run)
        except Exception as error:
            logger.warning("W&B: %s, so nothing more is logged there", _in_a_line(error))
            self._finish(1)

    def end(self, state: str = "done", status: int = 0, **why: str) -> None:
        """Write the summary, and end the run: an unfinished one would absorb the next run of the process.

        Args:
            state: What has become of it.
            status: Exit status; 75 for a run that is going to go on.
            **why: Kind and message of a failure.
        """
        if status == PREEMPTED:
            self.do(lambda run: run.mark_preempting())
        told = {name: redacted(text) for name, text in why.items()}
        self.do(lambda run: run.summary.update({**self.summary, "state": state, **told}))
        self._finish(status)

    def _finish(self, status: int) -> None:
        run, self.run = self.run, None
        if run is None:
            return
        written, offline = run.settings.sync_dir, run.settings.mode == "offline"
        try:
            run.finish(exit_code=status)
        except Exception as error:
            logger.warning("W&B: %s. What was not uploaded: `wandb sync %s`", _in_a_line(error), written)
        if offline:
            logger.info("W&B ran offline: `wandb login`, then `wandb sync %s`", written)


def figures_of(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return what W&B's summary has of results: names, the figures, and what its charts are drawn of.

    >>> figures_of({"acc_before": 50.0, "acc_teacher": 60.0, "transfer_delta": 2.0, "models": {}, "teacher": "a"})
    {'acc_before': 50.0, 'acc_teacher': 60.0, 'transfer_delta': 2.0, 'teacher': 'a', 'difference': 10.0, 'better': 1}
    """
    kept = {name: value for name, value in results.items() if isinstance(value, int | float | str)}
    if "transfer_delta" in kept:
        kept["difference"] = results["acc_teacher"] - results["acc_before"]
        kept["better"] = int(results["transfer_delta"] > 0)
    return kept


def _begun(folder: Path, mode: str, given: Mapping[str, Any]) -> Any:
    import wandb

    settings = wandb.Settings(
        silent=mode == "offline",  # else it prints thirty lines
        console="off",  # run.log has it
        init_timeout=START_SECONDS,
        finish_timeout=END_SECONDS if mode == "online" else 0,  # it returns before all is on the disk
        finish_timeout_raises=True,
    )
    return wandb.init(dir=folder, mode=mode, settings=settings, **given)  # type: ignore[arg-type]


def _forget() -> None:
    """Let W&B's own process end, in which a run that could not begin still occupies its id."""
    import wandb

    with suppress(Exception):
        wandb.teardown()


def _in_a_line(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
