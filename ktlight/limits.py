"""Valid values of options, declared once, in the signature of the part taking them or in `ktlight.config.limits`."""

import inspect
from collections.abc import Callable, Mapping
from math import inf
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from ktlight.errors import UserError


class Number(NamedTuple):
    """The numbers that an option takes: from ``least`` to ``most``, without those in ``excluded``."""

    least: float = -inf
    most: float = inf
    whole: bool = False
    null: bool = False
    excluded: tuple[float, ...] = (inf, -inf)

    def holds(self, value: Any) -> bool:
        """Return whether ``value`` is one of them."""
        if value is None:
            return self.null
        types = int if self.whole else int | float
        return (
            isinstance(value, types)
            and not isinstance(value, bool)
            and self.least <= value <= self.most
            and value not in self.excluded
        )

    def __str__(self) -> str:
        parts = []
        if self.least > -inf:
            parts.append(f"{'above' if self.least in self.excluded else 'at least'} {self.least}")
        if self.most < inf:
            parts.append(f"{'below' if self.most in self.excluded else 'at most'} {self.most}")
        return f"a {'whole ' * self.whole}number, {' and '.join(parts)}{', or null' * self.null}"


Limit = Number | tuple[Any, ...]
"""The numbers, or the choices, that an option takes."""

COUNT = Number(least=1, whole=True)
COUNT_OR_NULL = COUNT._replace(null=True)
SHARE = Number(least=0, most=1)
POSITIVE = Number(least=0, excluded=(0, inf))
NOT_NEGATIVE = Number(least=0)
SEED = Number(least=0, most=2**32 - 1, whole=True)

Count = Annotated[int, COUNT]
CountOrNull = Annotated[int | None, COUNT_OR_NULL]
Share = Annotated[float, SHARE]
Positive = Annotated[float, POSITIVE]
NotNegative = Annotated[float, NOT_NEGATIVE]
Seed = Annotated[int, SEED]


def limit_of(annotation: Any) -> Limit | None:
    """Return the limit that a parameter's annotation declares; None if it declares nothing that can be checked.

    >>> str(limit_of(Positive)), limit_of(Literal["kl", "cross_entropy"]), limit_of(bool), limit_of(str)
    ('a number, above 0', ('kl', 'cross_entropy'), (True, False), None)
    """
    if annotation is bool:
        return True, False
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) is Annotated:
        return next((extra for extra in get_args(annotation) if isinstance(extra, Number)), None)
    return None


def check_value(name: str, value: Any, limit: Limit) -> None:
    """Raise `UserError` unless an option has a valid value."""
    if isinstance(limit, Number):
        if not limit.holds(value):
            raise UserError(f"{name}={shown(value)} must be {limit}")
    elif not any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in limit):
        raise UserError(f"{name}={shown(value)} must be {' or '.join(map(shown, limit))}")


def check_arguments(part: Callable[..., Any], arguments: Mapping[str, Any], key: str) -> None:
    """Check arguments against the annotations of a part's signature.

    Args:
        part: A class or function.
        arguments: By name; those missing from the signature are skipped.
        key: The part's key in the config.

    Raises:
        UserError: If an argument is not a valid value of its parameter.
    """
    parameters = inspect.signature(part).parameters
    for name, value in arguments.items():
        limit = limit_of(parameters[name].annotation) if name in parameters else None
        if limit is not None:
            check_value(f"{key}.{name}", value, limit)


def shown(value: Any) -> str:
    """Return a value as typed on the command line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
