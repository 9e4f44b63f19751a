"""What a signature says of its parameters is what is taken."""

from math import inf, nan
from typing import Any, Literal

import pytest

from ktlight.errors import UserError
from ktlight.limits import (
    Count,
    CountOrNull,
    NotNegative,
    Positive,
    Seed,
    Share,
    check_arguments,
    check_value,
    limit_of,
)  # fmt: skip


@pytest.mark.parametrize(
    ("annotation", "taken", "refused"),
    [
        (Count, [1, 7], [0, -1, 1.5, True, None, "1"]),
        (CountOrNull, [1, None], [0, False]),
        (Share, [0, 0.5, 1], [-0.1, 1.1, nan, inf, None, True]),
        (Positive, [1e-9, 3], [0, -1, nan, inf, "abc"]),
        (NotNegative, [0, 0.1], [-1, nan, inf]),
        (Seed, [0, 2**32 - 1], [-1, 2**32, 0.5]),
        (bool, [True, False], [1, 0, None, "true"]),
        (Literal["val", "holdout"], ["val", "holdout"], ["test", None, 1]),
    ],
)
def test_values(annotation: Any, taken: list[Any], refused: list[Any]) -> None:
    limit = limit_of(annotation)
    assert limit is not None
    for value in taken:
        check_value("option", value, limit)
    for value in refused:
        with pytest.raises(UserError, match=r"^option=.* must be "):
            check_value("option", value, limit)


def test_other_annotations_limit_nothing() -> None:
    assert [limit_of(annotation) for annotation in (str, int, Any, int | None)] == [None] * 4


def test_arguments_are_checked_by_the_signature() -> None:
    def part(network: object, *, share: Share, name: str, kind: Literal["a", "b"] = "a") -> None: ...

    check_arguments(part, {"share": 0.5, "name": 3, "unknown": None}, "router")
    with pytest.raises(UserError, match=r"^router\.share=2 must be a number, at least 0 and at most 1$"):
        check_arguments(part, {"share": 2}, "router")
    with pytest.raises(UserError, match=r"^router\.kind=c must be a or b$"):
        check_arguments(part, {"share": 1, "kind": "c"}, "router")
