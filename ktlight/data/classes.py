"""Class names of a data set: read from a user's file, and compared with the data's own."""

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError, shortened

WORDNET_ID = re.compile(r"n\d{8}")
FORMATS = (
    "a .json list of names, or of objects with name and wnid; a .txt, one name a line; or a .csv with a column name"
)


class ClassList(NamedTuple):
    """The classes that a file lists.

    Attributes:
        names: In the order of the labels.
        wnids: Their WordNet ids, if the file gives them.
    """

    names: tuple[str, ...]
    wnids: tuple[str, ...] | None = None


def name_classes(dataset: ImageDataset, file: str) -> ImageDataset:
    """Return the data set with its classes named by a file.

    If the data have their own names, the file's must be the same, unless the data's are WordNet ids, which the file
    translates, in any order and possibly with others.

    Raises:
        UserError: If the file cannot be read or used, or does not fit the data.
    """
    listed = read_class_list(file)
    known = dataset.class_names
    if not dataset.has_names:
        fits = len(listed.names) >= len(known) if dataset.counted else len(listed.names) == len(known)
        if not fits:
            raise UserError(
                f"data.class_names={file} names {len(listed.names)} classes, but {dataset.name} has {len(known)}."
            )
        return replace(dataset, class_names=listed.names, wnids=listed.wnids, counted=False)
    if known == listed.names:
        return replace(dataset, wnids=listed.wnids or dataset.wnids)
    if are_wordnet_ids(known) and listed.wnids:
        names = dict(zip(listed.wnids, listed.names, strict=True))
        missing = [wnid for wnid in known if wnid not in names]
        if missing:
            raise UserError(f"data.class_names={file} has no name for {shortened(missing)}, classes of {dataset.name}.")
        return replace(dataset, class_names=tuple(names[wnid] for wnid in known), wnids=known)
    hint = " Its objects need a wnid to translate WordNet ids." if are_wordnet_ids(known) else ""
    raise UserError(
        f"data.class_names={file} does not agree with the names that {dataset.name} itself has: "
        f"{difference(known, listed.names, dataset.name, 'the file')}.{hint}"
    )


def read_class_list(file: str) -> ClassList:
    """Return the classes listed by a JSON, text or CSV file.

    Raises:
        UserError: If it is missing or has another format; the message lists the valid ones.
    """
    path = Path(str(file)).expanduser()
    readers = {".json": _read_json, ".txt": _read_text, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise UserError(f"data.class_names={file} must be {FORMATS}.")
    try:
        entries = readers[path.suffix.lower()](path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"Cannot read data.class_names={file}, seen from {Path.cwd()}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise UserError(f"data.class_names={file} is not as it must be ({reason}): {FORMATS}.") from error
    names, wnids = ([str(entry.get(key) or "") for entry in entries] for key in ("name", "wnid"))
    for what, values in (("names", names), ("ids", wnids if any(wnids) else ["none"])):
        _check(file, what, values)
    return ClassList(tuple(names), tuple(wnids) if any(wnids) else None)


def are_wordnet_ids(names: Sequence[str]) -> bool:
    """Whether all names are WordNet ids, such as n01440764."""
    return all(WORDNET_ID.fullmatch(name) for name in names)


def difference(first: Sequence[str], second: Sequence[str], one: str = "the first", other: str = "the second") -> str:
    """Describe how two lists of classes differ."""
    only = {one: sorted(set(first) - set(second)), other: sorted(set(second) - set(first))}
    parts = [f"only {which} has {shortened(names)}" for which, names in only.items() if names]
    if parts or len(first) != len(second):
        return "; ".join(parts) or f"{one} has {len(first)} and {other} has {len(second)}"
    label = next(label for label, (name, wanted) in enumerate(zip(first, second, strict=True)) if name != wanted)
    return f"the same names in another order: class {label} is {first[label]} in {one} and {second[label]} in {other}"


def _check(file: str, what: str, values: Sequence[str]) -> None:
    if not values or not all(values):
        raise UserError(f"data.class_names={file} must give every class its {what[:-1]}: {FORMATS}.")
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise UserError(
            f"data.class_names={file} has the same {what} more than once: {shortened(twice)}. Tell them apart."
        )


def _read_json(text: str) -> list[dict[str, Any]]:
    entries = json.loads(text)
    if not isinstance(entries, list) or not all(isinstance(entry, str | dict) for entry in entries):
        raise ValueError("no list of names or objects")
    return [{"name": entry} if isinstance(entry, str) else entry for entry in entries]


def _read_text(text: str) -> list[dict[str, Any]]:
    return [{"name": line.strip()} for line in text.splitlines() if line.strip()]


def _read_csv(text: str) -> list[dict[str, Any]]:
    rows = list(csv.DictReader(text.splitlines(), skipinitialspace=True))
    if not rows or "name" not in rows[0]:
        raise ValueError("no column name")
    label = next((key for key in ("label", "index") if key in rows[0]), None)
    if label is not None:
        rows.sort(key=lambda row: int(row[label]))
        if [int(row[label]) for row in rows] != list(range(len(rows))):
            raise ValueError(f"its column {label} does not number the classes from 0")
    return [{key: (value or "").strip() for key, value in row.items() if key in ("name", "wnid")} for row in rows]
