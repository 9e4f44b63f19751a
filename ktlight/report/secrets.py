"""Tokens and passwords: recognised, so that none gets into a log, a config or a page."""

import logging
import os
import re
from collections.abc import Sequence

NAMED = r"(?:[\w.-]*[._-])?(?:token|password|passwd|secret|api_?key|access_?key)"
NAME = re.compile(rf"(?i)(?:{NAMED}|[\w-]*_key)")
"""Of a variable of the environment, or of an option."""
LONG = 16
"""Characters of a variable's value from which on it is one that cannot be there by chance."""
OPTION = re.compile(rf"(?i)(?<![\w.-])(-*{NAMED}[\"']?\s*[=:]\s*[\"']?)([^\s\"',]{{8,}})")
LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+:[^\s/@]+@")
SHAPES = re.compile(r"\b(?:hf|ghp|gho|glpat|xoxb|sk)[_-][A-Za-z0-9_-]{16,}")
"""Tokens that are known by how they begin."""
HIDDEN = "***"


def redacted(text: object) -> str:
    """Return a text with tokens and passwords replaced by stars.

    Replaced are the values of variables of the environment such as WANDB_API_KEY and HF_TOKEN, what stands after names
    such as ``token=`` or ``password:``, logins in addresses, and what begins as tokens of well-known services do.

    >>> redacted("s3://me:word@host/x, api_key=0123456789, class_token=true")
    's3://***@host/x, api_key=***, class_token=true'
    """
    told = str(text)
    for value in _values():
        told = told.replace(value, HIDDEN)
    told = LOGIN.sub(rf"\1{HIDDEN}@", told)
    return SHAPES.sub(HIDDEN, OPTION.sub(rf"\1{HIDDEN}", told))


def reveals(text: str) -> bool:
    """Return whether a text has a token or a password in it."""
    return redacted(text) != text


def redacted_command(arguments: Sequence[str]) -> list[str]:
    """Return a command line likewise; an option may be followed by its value.

    >>> redacted_command(["train.py", "--token", "abc", "seed=1"])
    ['train.py', '--token', '***', 'seed=1']
    """
    before = ["", *arguments]
    hidden = (re.fullmatch(rf"(?i)--?{NAMED}", option) for option in before)
    return [HIDDEN if hides else redacted(argument) for hides, argument in zip(hidden, arguments, strict=False)]


class RedactingFormatter(logging.Formatter):
    """Formats messages of a log, with their tracebacks, without tokens and passwords."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return redacted(super().format(record))


def _values() -> list[str]:
    named = (value for name, value in os.environ.items() if NAME.fullmatch(name))
    return sorted((value for value in named if len(value) >= LONG), key=len, reverse=True)
