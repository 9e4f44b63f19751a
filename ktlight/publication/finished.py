"""The page at the end of a run or sweep."""

import logging
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)


def write_page_of(folder: Path, write: Callable[[Path], Path]) -> Path | None:
    """Write the page of what is finished and return its file; a failure is logged, since nothing else is lost."""
    try:
        return write(folder)
    except Exception as error:
        logger.error("The page of %s could not be written (%s: %s); all else was", folder, type(error).__name__, error)
        logger.debug("Its traceback", exc_info=True)
        return None
