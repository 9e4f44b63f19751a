"""Fetching trained weights, with one clear and quick message where there is no network."""

from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import torch

from ktlight.errors import UserError

PATIENCE = 10
"""Seconds to wait for a server's first answer."""


class Unreachable(UserError):  # noqa: N818
    """The weights of a model could not be fetched."""

    def __init__(self, model: str, where: str, error: Exception) -> None:
        super().__init__(
            f"The weights of {model} could not be fetched from {where} ({first_line(error)}). "
            "Without a network, give its checkpoint=FILE, or train it here with task=pretrain."
        )


def download(url: str, model: str) -> Path:
    """Return the local copy of a file of torchvision's weights, in the folder where torchvision keeps them too.

    The file's name ends in the beginning of its SHA-256, which is checked.

    Raises:
        Unreachable: There is no copy yet, and none can be fetched.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if path.exists():
        return path
    try:
        with urlopen(url, timeout=PATIENCE):
            pass  # the download itself would wait without end
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_of(url))
    except (URLError, OSError, RuntimeError) as error:
        with suppress(FileNotFoundError):
            path.unlink()
        raise Unreachable(model, url.split("/")[2], error) from error
    return path


def hash_of(url: str) -> str:
    """Return the beginning of a file's SHA-256 from its name.

    >>> hash_of("https://download.pytorch.org/models/resnet18-f37072fd.pth")
    'f37072fd'
    """
    return url.rpartition("-")[2].partition(".")[0]


def first_line(error: Exception) -> str:
    """Return what an error says in its first line, without a full stop."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
