"""How a model's classes came to be the data's, in words; does not need torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from ktlight.errors import shortened


def labels_in_words(labels: Mapping[str, Any] | None) -> str:
    """Return what ``labels`` in a model's facts says, in a line; nothing if the classes are the same.

    >>> labels_in_words({"how": "names", "own_classes": 1000, "taken_for": "imagenet-1k", "classes": 3, "covered": 2,
    ...                  "missing": ["crane"], "ambiguous": ["crane"], "sliced": False})
    '1000 classes, taken for imagenet-1k, -> 3 of the data by names (2 covered; ambiguous: crane)'
    """
    if labels is None or labels["how"] == "same":
        return ""
    own = f"{'head of ' * labels['sliced']}{labels['own_classes']} classes"
    taken = f", taken for {labels['taken_for']}," if labels["taken_for"] else ""
    lacking = lacking_in_words(labels["missing"], labels["ambiguous"])
    covered = f"{labels['covered']} covered{lacking and '; '}{lacking}"
    return f"{own}{taken} -> {labels['classes']} of the data by {labels['how']} ({covered})"


def lacking_in_words(missing: Sequence[str], ambiguous: Sequence[str]) -> str:
    """Return which classes of the data a map leaves out.

    Args:
        missing: Those that none of the model's maps to.
        ambiguous: Those of them that could be several of the model's, or share one.
    """
    lists = (("without", [name for name in missing if name not in ambiguous]), ("ambiguous:", ambiguous))
    return "; ".join(f"{what} {shortened(names)}" for what, names in lists if names)
