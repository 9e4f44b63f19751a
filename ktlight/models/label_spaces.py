"""How a network's classes are found among the data's: a ladder of rungs, from equal lists down to a user's file.

``same``, ``permuted``, ``synset`` and ``names`` compare what the classes are called; docs/labels.md has the whole.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NoReturn

from ktlight.errors import UserError
from ktlight.functional.label_spaces import NONE
from ktlight.models.class_names import Classes, lemmas, numbers_by_lemma
from ktlight.models.label_file import read_label_map
from ktlight.models.label_map import LEARNED, LabelMap, map_to_learn
from ktlight.models.label_words import lacking_in_words

LEAST = 0.5
"""Share of the data's classes of which a map that was found by itself must cover more."""
WAY_OUT = (
    "Say which is which with label_map=FILE.csv, have a teacher's classes learned from training images with "
    "labels=learned, name the data's classes with data.class_names=FILE, or give the model a head for these classes "
    "with task=pretrain (docs/labels.md)."
)


class ForeignClasses(UserError):  # noqa: N818
    """A model's classes are not those of the data, and no map to them was found."""


def find_label_map(
    own: Classes,
    data: Classes,
    model: str,
    labels: str = "auto",
    file: str | None = None,
) -> LabelMap | None:
    """Return the map from a network's classes to the data's; None if they are the same.

    Args:
        own: The network's classes.
        data: The data's.
        model: The model's name, for messages.
        labels: How to find it; one of `ktlight.models.spec.LABELS`. A rung that is asked for may cover few classes.
        file: A user's map, in place of finding one.

    Raises:
        ForeignClasses: With ``auto``, no rung covers more than half of the data's classes.
        UserError: The rung that is asked for covers none, or the file is not as it must be.
    """
    if file is not None:
        return _not_empty(read_label_map(file, own, data), data, model, f"label_map={file}")
    if labels == LEARNED:
        return map_to_learn(own.count, data.count)
    if labels in RUNGS:
        return _not_empty(RUNGS[labels](own, data), data, model, f"labels={labels}")
    if labels == "same":
        if own.count == data.count:
            return None
        raise UserError(
            f"labels=same says that {model} answers in the data's classes, but its weights are for {own.count} "
            f"classes, and the data has {data.count}. {WAY_OUT}"
        )
    if are_same(own, data):
        return None
    tried: dict[str, LabelMap | None] = {}
    for how, rung in {"permuted": permuted, **RUNGS}.items():
        found = tried[how] = rung(own, data)
        if found is not None and found.covered > LEAST * data.count:
            return found
    _refuse(own, data, model, tried)


def are_same(own: Classes, data: Classes) -> bool:
    """Return whether both are equal lists, or equally many of which nothing else is known."""
    if own.count != data.count:
        return False
    both = _comparable(own, data)
    return both is None or both[0] == both[1]


def are_comparable(own: Classes, data: Classes) -> bool:
    """Return whether names or WordNet ids are known on both sides."""
    return _comparable(own, data) is not None


def permuted(own: Classes, data: Classes) -> LabelMap | None:
    """Return the map between the same names, or WordNet ids, in two orders; None if they are not the same."""
    both = _comparable(own, data)
    if both is None or own.count != data.count or len(set(both[0])) != own.count or set(both[0]) != set(both[1]):
        return None
    return LabelMap([both[1].index(name) for name in both[0]], data.count, "permuted", taken_for=own.taken_for)


def by_synset(own: Classes, data: Classes) -> LabelMap | None:
    """Return the map between equal WordNet ids; None if they are not known on both sides."""
    if own.wnids is None or data.wnids is None:
        return None
    places = {wnid: place for place, wnid in enumerate(data.wnids)}
    classes_Z = [places.get(wnid, NONE) for wnid in own.wnids]
    return LabelMap(classes_Z, data.count, "synset", taken_for=own.taken_for)


def by_name(own: Classes, data: Classes) -> LabelMap | None:
    """Return the map between classes that share a word which no other class on either side shares with them.

    A word that several classes have ('crane') says nothing; the data's classes that only such words tell of are listed
    as ambiguous. None if names are not known on both sides.
    """
    if own.names is None or data.names is None:
        return None
    having = numbers_by_lemma(own.names)
    candidates = [set().union(*(having.get(word, set()) for word in lemmas(name))) for name in data.names]
    wanted = Counter(number for numbers in candidates for number in numbers)
    classes_Z, ambiguous = [NONE] * own.count, []
    for place, numbers in enumerate(candidates):
        if len(numbers) == 1 and wanted[number := next(iter(numbers))] == 1:
            classes_Z[number] = place
        elif numbers:
            ambiguous.append(data.names[place])
    return LabelMap(classes_Z, data.count, "names", ambiguous=ambiguous, taken_for=own.taken_for)


RUNGS: dict[str, Callable[[Classes, Classes], LabelMap | None]] = {"synset": by_synset, "names": by_name}
"""The rungs that a user may ask for and that compare what classes are called."""


def _comparable(own: Classes, data: Classes) -> tuple[Sequence[str], Sequence[str]] | None:
    """Return what both sides are called: their WordNet ids, else their names; None if one side has neither."""
    if own.wnids and data.wnids:
        return own.wnids, data.wnids
    return (own.names, data.names) if own.names and data.names else None


def _not_empty(found: LabelMap | None, data: Classes, model: str, option: str) -> LabelMap:
    if found is not None and found.covered:
        return found
    what = "WordNet ids" if option == "labels=synset" else "names"
    why = f"the {what} of both sides are not known" if found is None else f"{_covered(found, data)}"
    raise UserError(f"{option} maps no class of {model} to a class of the data: {why}. {WAY_OUT}")


def _refuse(own: Classes, data: Classes, model: str, tried: dict[str, LabelMap | None]) -> NoReturn:
    """Say what was tried in vain, and what would help."""
    taken = f", taken for {own.taken_for}" if own.taken_for else ""
    found = {how: label_map for how, label_map in tried.items() if label_map is not None}
    if found:
        said = "; ".join(f"labels={how} {_covered(label_map, data)}" for how, label_map in found.items())
        if any(label_map.covered for label_map in found.values()):
            said += " (more than half are needed, unless that option is given)"
    else:
        nameless = [side for side, each in (("its", own), ("the data's", data)) if not (each.names or each.wnids)]
        said = f"{' and '.join(nameless) or 'nothing that both have of their'} classes have no names to compare"
    raise ForeignClasses(
        f"The weights of {model} are for {own.count} classes{taken}, but the data has {data.count}, and which of them "
        f"are the same could not be found: {said}. {WAY_OUT}"
    )


def _covered(label_map: LabelMap, data: Classes) -> str:
    """Return how many classes a map covers, and which not."""
    called = data.names or data.wnids or tuple(map(str, range(data.count)))
    lacking = lacking_in_words([called[place] for place in label_map.missing], label_map.ambiguous)
    return f"covers {label_map.covered} of {data.count}" + (f" ({lacking})" if lacking else "")
