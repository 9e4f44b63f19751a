"""What comes after a run or a sweep is finished: its page."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


@contextmanager
def nothing_lost(folder: Path) -> Iterator[None]:
    """Log whatever goes wrong with the page of a finished folder, in place of failing: all else is there."""
    try:
        yield
    except Exception as error:
        logger.error("The page of %s could not be written (%s: %s); all else was", folder, type(error).__name__, error)
        logger.debug("Its traceback", exc_info=True)
