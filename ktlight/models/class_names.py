"""What the classes of a network and of the data are called, in forms that can be compared."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

from ktlight.models.libraries.library import library_of_network

WORDNET_ID = re.compile(r"n\d{8}")
NOT_OF_A_LEMMA = re.compile(r"[\W_]+")
ARTICLE = re.compile(r"^(a|an|the) (?=.)")
RECOGNISED = 0.99
"""Share of names that must be words of an ImageNet list, in its order, for all to be taken for its classes."""


@dataclass(frozen=True)
class Classes:
    """The classes of a network or of the data.

    Attributes:
        count: How many there are.
        names: What each is called, of one or several words for the same ('tench, Tinca tinca'); None if unknown.
        wnids: Their WordNet ids; None if unknown.
        taken_for: The ImageNet list that a network's nameless classes are taken for, because there are as many.
    """

    count: int
    names: tuple[str, ...] | None = None
    wnids: tuple[str, ...] | None = None
    taken_for: str | None = None


def named_classes(names: Sequence[str], wnids: Sequence[str] | None = None) -> Classes:
    """Return classes by their names, which may be WordNet ids, or numbers, which are no names.

    Names in the order of an ImageNet list get its WordNet ids: torchvision's are these.
    """
    names = tuple(map(str, names))
    if all(map(WORDNET_ID.fullmatch, names)):
        return Classes(len(names), tuple(_words().get(wnid, wnid) for wnid in names), names)
    if not are_names(names):
        return Classes(len(names), None, None if wnids is None else tuple(wnids))
    return Classes(len(names), names, tuple(wnids) if wnids else _recognised(names))


def classes_of_network(network: Any, data_classes: int, *, from_hub: bool) -> Classes:
    """Return a network's own classes.

    timm's weights record no names: by their number they are those of an ImageNet list (1,000, 11,821, 21,841, ...).

    Args:
        network: With the record of its weights.
        data_classes: Number of the data's classes. Nameless weights of as many are assumed to be for these data.
        from_hub: Whether the weights are those that timm records; a bare file may be for any classes.
    """
    library = library_of_network(network)
    recorded = library.class_names(network) if library else None
    if recorded and are_names(recorded):
        return named_classes(recorded)
    count = network.num_classes
    subset = infer_imagenet_subset(network) if library and not library.prefix else None
    if recorded or subset is None or (count == data_classes and not from_hub):
        return Classes(count)
    wnids = imagenet_wnids(subset)
    return Classes(count, tuple(_words()[wnid] for wnid in wnids), wnids, None if from_hub else subset)


def are_names(names: Sequence[str]) -> bool:
    """Return whether classes have real names, not just their numbers."""
    return bool(names) and list(names) != [str(number) for number in range(len(names))]


def lemmas(name: str) -> set[str]:
    """Return the words for a class, without case, punctuation, accents and articles.

    >>> sorted(lemmas("The Great_White-shark, Carcharodon carcharias"))
    ['carcharodon carcharias', 'great white shark']
    """
    return {lemma(word) for word in name.split(",")} - {""}


def lemma(word: str) -> str:
    """Return one word, or several that belong together, in the form that is compared."""
    decomposed = unicodedata.normalize("NFKD", word)
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()
    return ARTICLE.sub("", NOT_OF_A_LEMMA.sub(" ", bare).strip())


def numbers_by_lemma(names: Sequence[str]) -> dict[str, set[int]]:
    """Return which classes, by number, each word is for."""
    numbers: dict[str, set[int]] = {}
    for number, name in enumerate(names):
        for word in lemmas(name):
            numbers.setdefault(word, set()).add(number)
    return numbers


@cache
def imagenet_wnids(subset: str) -> tuple[str, ...]:
    """Return the WordNet ids of a list that timm knows, such as imagenet-1k, in the order of its models' logits."""
    return tuple(ImageNetInfo(subset).label_names())  # type: ignore[no-untyped-call]


@cache
def _words() -> dict[str, str]:
    """Return the words of every synset in ImageNet by its WordNet id."""
    words: dict[str, str] = {}
    for subset in ("imagenet-21k", "imagenet-1k"):  # one class of the latter is not in the former
        imagenet: Any = ImageNetInfo(subset)
        words |= imagenet.label_descriptions(as_dict=True)
    return words


@cache
def _recognised(names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the WordNet ids of classes that are named as those of an ImageNet list are, in its order."""
    subset = infer_imagenet_subset({"num_classes": len(names)})
    if subset is None:
        return None
    wnids = imagenet_wnids(subset)
    elsewhere = numbers_by_lemma([_words()[wnid] for wnid in wnids])
    other = 0
    for number, name in enumerate(names):
        places = set[int]().union(*(elsewhere.get(word, set()) for word in lemmas(name)))
        if places and number not in places:
            return None  # a class of the list, in another place
        other += not places
    return wnids if other <= (1 - RECOGNISED) * len(names) else None
