"""A user's map between classes: a csv file, each row a class of the model and one of the data that go together."""

import csv
from collections import Counter, defaultdict
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import NamedTuple

import torch

from ktlight.errors import UserError, nearest
from ktlight.functional.label_spaces import NONE
from ktlight.models.class_names import Classes, lemmas, numbers_by_lemma
from ktlight.models.label_map import LabelMap

FROM, TO, WEIGHT = "model_class", "class", "weight"
FORMAT = f"a csv file with the columns {FROM} and {TO}, and {WEIGHT} if classes are shared (docs/labels.md)"
ROUNDING = 1e-6  # weights such as 0.333 and 0.667, or thirds written with seven digits, are meant to sum to 1


class Row(NamedTuple):
    """A row of the file: a class of the model, one of the data's, and how much of the first belongs to the second."""

    own: int
    data: int
    weight: float | None


def read_label_map(file: str, own: Classes, data: Classes) -> LabelMap:
    """Return the map in a file.

    Classes go by their name, one of its words, their WordNet id or their number from 0. Several classes of the model
    may belong to one of the data; one of the model's may be shared among several, by weights that sum to at most 1.

    Args:
        file: The csv file.
        own: The model's classes.
        data: The data's.

    Raises:
        UserError: It cannot be read, names a class that there is not, or its weights are no shares.
    """
    rows = _rows(file, own, data)
    _check_weights(file, rows)
    weights_ZC = torch.zeros(own.count, data.count, dtype=torch.float64)
    for row in rows:
        weights_ZC[row.own, row.data] = 1 if row.weight is None else row.weight
    if all(row.weight in (None, 1) for row in rows):  # each class whole, to one
        classes_Z = [NONE] * own.count
        for row in rows:
            classes_Z[row.own] = row.data
        return LabelMap(classes_Z, data.count, "file", taken_for=own.taken_for)
    return LabelMap([NONE] * own.count, data.count, "file", weights_ZC, taken_for=own.taken_for)


def _rows(file: str, own: Classes, data: Classes) -> list[Row]:
    path = Path(file).expanduser()
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True, strict=True)
            columns, written = list(reader.fieldnames or ()), list(reader)
    except OSError as error:
        raise UserError(f"Cannot read label_map={file}, seen from {Path.cwd()}: {error.strerror}.") from error
    except (ValueError, csv.Error) as error:
        raise UserError(f"label_map={file} cannot be read ({error}): it must be {FORMAT}.") from error
    if lacking := [name for name in (FROM, TO) if name not in columns]:
        raise UserError(f"label_map={file} has no column {' and no column '.join(lacking)}: it must be {FORMAT}.")
    if not written:
        raise UserError(f"label_map={file} has no rows: it must be {FORMAT}.")
    model, dataset = Named(own, "the model"), Named(data, "the data")
    found = []
    for number, row in enumerate(written, 2):  # as an editor counts the lines
        where = f"label_map={file}, line {number}"
        found.append(Row(model.find(row[FROM], where), dataset.find(row[TO], where), _weight(row.get(WEIGHT), where)))
    return found


class Named:
    """The classes that a column of the file names.

    Args:
        classes: The classes.
        side: Whose they are, for messages.
    """

    def __init__(self, classes: Classes, side: str) -> None:
        self.classes, self.side = classes, side
        self.having = numbers_by_lemma(classes.names or ())

    def find(self, written: str | None, where: str) -> int:
        """Return the number of a class by its WordNet id, name, one of the words of its name, or number."""
        text, classes = (written or "").strip(), self.classes
        for known in (classes.wnids, classes.names):
            if text and known and known.count(text) == 1:
                return known.index(text)
        if text.isascii() and text.isdigit() and int(text) < classes.count:
            return int(text)
        words = [self.having.get(word, set()) for word in lemmas(text)]
        found = sorted(set.intersection(*words)) if words else []
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(
                f"{where}: '{text}' is the name of {len(found)} classes of {self.side}, "
                f"{' and '.join(map(str, found[:5]))}: give the WordNet id or the number"
            )
        raise UserError(f"{where}: {self.side} has no class '{text}'.{self._hint(text)}")

    def _hint(self, text: str) -> str:
        words = [word.strip() for name in self.classes.names or () for word in name.split(",")]
        numbers = f"Their numbers go from 0 to {self.classes.count - 1}."
        return nearest(text, [*words, *(self.classes.wnids or ())]) or f" {numbers}"


def _weight(written: str | None, where: str) -> float | None:
    text = (written or "").strip()
    if not text:
        return None
    try:
        weight = float(text)
    except ValueError:
        weight = -inf
    if not 0 <= weight <= 1:
        raise UserError(f"{where}: the weight {text} must be a number from 0 to 1")
    return weight


def _check_weights(file: str, rows: Sequence[Row]) -> None:
    """Raise `UserError` if a pair occurs twice, some rows have no weight, or a class is given away more than once."""
    lines: dict[tuple[int, int], int] = {}
    shares: dict[int, list[float | None]] = defaultdict(list)
    for line, row in enumerate(rows, 2):
        if (first := lines.setdefault((row.own, row.data), line)) != line:
            raise UserError(f"label_map={file}, line {line}: the two classes are those of line {first}: give them once")
        shares[row.own].append(row.weight)
    without = [line for line, row in enumerate(rows, 2) if row.weight is None]
    if without and len(without) < len(rows):
        raise UserError(f"label_map={file}, line {without[0]}: the weight is missing, and other rows have one")
    if without and (twice := [own for own, count in Counter(row.own for row in rows).items() if count > 1]):
        raise UserError(
            f"label_map={file} maps class {twice[0]} of the model whole to {len(shares[twice[0]])} classes: say in a "
            f"column {WEIGHT} how much of it belongs to each"
        )
    sums = {own: sum(weight or 0 for weight in weights) for own, weights in shares.items()}
    if beyond := [own for own, total in sums.items() if total > 1 + ROUNDING]:
        raise UserError(
            f"label_map={file}: the weights of class {beyond[0]} of the model sum to {sums[beyond[0]]:g}, more than 1"
        )
