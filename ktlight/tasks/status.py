"""Where sweeps and runs stand (task=status): reads their folders, prints a table, and writes nothing."""

import os
import time

from omegaconf import DictConfig
from rich.live import Live

from ktlight.config.runs import listed_runs
from ktlight.errors import UserError
from ktlight.report.layout import console_for_tables
from ktlight.report.runs import folders_of
from ktlight.report.state import State
from ktlight.report.status import Standing, standings
from ktlight.report.watched import counted, shown

FAILED = 1
UNFINISHED = os.EX_TEMPFAIL
"""Exit status where nothing has failed, but not all is done: 75, come back later."""


def look(config: DictConfig) -> int:
    """Print where the runs stand, again and again if asked, and return the exit status.

    Returns:
        0 if all is done, 1 if a run has failed, else 75.

    Raises:
        UserError: There are no runs.
    """
    patterns, options, console = listed_runs(config), config.status, console_for_tables()

    def now() -> list[Standing]:
        found = standings(folders_of(patterns))
        if not found:
            raise UserError(f"runs={','.join(patterns)} hold no run and no sweep")
        return found

    found = now()
    if options.watch is None:
        console.print(shown(found, console.width, options.failures))
        return status_of(found)
    with Live(console=console, auto_refresh=False) as live:
        live.update(shown(found, console.width, options.failures), refresh=True)
        while counted(found).keys() - {State.DONE, State.FAILED}:
            time.sleep(options.watch)
            found = now()
            live.update(shown(found, console.width, options.failures), refresh=True)
    return status_of(found)


def status_of(found: list[Standing]) -> int:
    """Return the exit status that says how runs stand."""
    states = counted(found)
    if states[State.FAILED]:
        return FAILED
    return 0 if states[State.DONE] == states.total() else UNFINISHED
