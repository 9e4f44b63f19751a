"""The local zoo: models trained earlier, keyed by recipe, for later runs that need the same one."""

import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ktlight.errors import NotThere, UserError, nearest
from ktlight.models.classifier import Classifier
from ktlight.models.export import export_classifier
from ktlight.models.libraries.library import library_of
from ktlight.models.provenance import trained_for
from ktlight.models.recipe import Recipe
from ktlight.models.spec import ZOO_PREFIX
from ktlight.preemption import wait_for

logger = logging.getLogger(__name__)

RECORD = "training_record.json"
NAMES = "names.json"
NAME = re.compile(r"[\w.-]+")


def cache_directory() -> Path:
    """Return the folder for reproducible files: ``$KTLIGHT_CACHE``, else ``~/.cache/ktlight``."""
    return Path(os.environ.get("KTLIGHT_CACHE") or "~/.cache/ktlight").expanduser()


@dataclass(frozen=True)
class Entry:
    """A trained model in the zoo.

    Attributes:
        folder: Its folder, which its library can load.
        given: The name given with ``pretrain.name``, if any.
        record: Its training record, and its accuracy on the validation split.
    """

    folder: Path
    given: tuple[str, ...]
    record: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name in the zoo: the given one, else architecture and digest."""
        return self.given[0] if self.given else self.folder.name

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def __str__(self) -> str:
        facts = trained_for(*(self.record[key] for key in ("epochs", "seed", "acc")))
        return f"{ZOO_PREFIX}{self.name} ({facts})"


class Zoo:
    """Folders of trained models, one per recipe, in one folder per data set.

    An entry is complete or absent, and never replaced: it is created by rename, and another recipe is another entry.

    Args:
        root: Folder of all entries; by default ``zoo`` in the cache folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_directory() / "zoo"

    def folder(self, recipe: Recipe) -> Path:
        """Return the folder of a recipe's model, whether it exists or not."""
        return self.root / recipe.data_identity / recipe.name

    def find(self, recipe: Recipe) -> Entry | None:
        """Return the model trained with exactly this recipe, if it exists."""
        return self._entry(self.folder(recipe))

    def entries(self, data_identity: str | None = None) -> list[Entry]:
        """Return the models trained on one data set, or all, sorted by architecture."""
        folders = sorted(self.root.glob(f"{data_identity or '*'}/[!.]*"))
        return [entry for folder in folders if (entry := self._entry(folder))]

    def of_architecture(self, architecture: str, data_identity: str) -> list[Entry]:
        """Return the models of one architecture, whatever its tag, that were trained on one data set."""
        library = library_of(architecture)
        base = library.untagged(library.identity(architecture)["architecture"])
        entries = self.entries(data_identity)
        return [entry for entry in entries if library.untagged(entry.record["architecture"]) == base]

    def named(self, name: str, data_identity: str | None = None) -> Entry:
        """Return the model with a name, given or generated: from this data set if there is one, else from any other.

        Raises:
            NotThere: There is none.
            UserError: There are several from other data sets.
        """
        everywhere = self.entries()
        found = [entry for entry in everywhere if name in (*entry.given, entry.folder.name)]
        here = [entry for entry in found if entry.folder.parent.name == data_identity]
        if len(here or found) == 1:
            return (here or found)[0]
        if found:
            raise UserError(
                f"models of {len(found)} data sets are called {name} in the zoo: say which of "
                f"{', '.join(ZOO_PREFIX + entry.folder.name for entry in found)}"
            )
        hint = nearest(name, [each for entry in everywhere for each in (*entry.given, entry.folder.name)])
        raise NotThere(f"the zoo has no model {name}.{hint} `python run.py task=zoo` lists the models of a data set.")

    @contextmanager
    def lock(self, recipe: Recipe) -> Iterator[None]:
        """Hold the lock for training a recipe's model; it is released when the process ends."""
        folder = self.folder(recipe)
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("Another process trains %s for this data: waiting for it", recipe.architecture)
            wait_for(lock)
        try:
            yield
        finally:
            lock.release()

    def save(
        self, classifier: Classifier, recipe: Recipe, *, record: Mapping[str, Any], class_names: Sequence[str] = ()
    ) -> Entry:
        """Keep a trained classifier; if another process was faster, its model of the same recipe stays.

        Args:
            classifier: The trained model.
            recipe: How it was trained.
            record: ``epochs``, ``seed``, ``acc`` and other facts about it.
            class_names: Names of the classes in the order of the logits.

        Raises:
            UserError: If the folder cannot be written.
        """
        folder = self.folder(recipe)
        if not self._entry(folder):
            facts = {**record, "architecture": recipe.architecture, "recipe": asdict(recipe)}
            export_classifier(classifier, folder, record=facts, class_names=class_names)
        entry = self._entry(folder)
        assert entry is not None
        return entry

    def check_name(self, name: str, recipe: Recipe) -> None:
        """Raise `UserError` unless the recipe's model can be given this name."""
        if not NAME.fullmatch(name):
            raise UserError(f"pretrain.name={name}: a name consists of letters, digits, dots, dashes and underscores")
        data = self.folder(recipe).parent
        if self._names(data).get(name, recipe.name) != recipe.name:
            raise UserError(
                f"pretrain.name={name} is taken by {self.named(name, data.name)}: choose another name, or remove that "
                f"model: python run.py task=zoo zoo.action=remove zoo.name={name}"
            )

    def give_name(self, recipe: Recipe, name: str) -> Entry:
        """Give a recipe's model a name of the user's choice, unique within the data set.

        Raises:
            UserError: If another model has this name, or it is invalid.
        """
        data = self.folder(recipe).parent
        with FileLock(data / f".{NAMES}.lock"):
            self.check_name(name, recipe)
            self._write_names(data, self._names(data) | {name: recipe.name})
        return self.named(name, data.name)

    def remove(self, entry: Entry) -> None:
        """Delete a model and its given names; files that are already open stay readable."""
        data = entry.folder.parent
        with FileLock(data / f".{NAMES}.lock"):
            names = {name: folder for name, folder in self._names(data).items() if folder != entry.folder.name}
            self._write_names(data, names)
        doomed = entry.folder.with_name(f".{entry.folder.name}-{uuid.uuid4().hex[:8]}")
        entry.folder.rename(doomed)
        shutil.rmtree(doomed)

    def _entry(self, folder: Path) -> Entry | None:
        try:
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise UserError(f"{folder / RECORD} cannot be read ({error}): delete {folder}") from error
        names = self._names(folder.parent)
        return Entry(folder, tuple(sorted(name for name, own in names.items() if own == folder.name)), record)

    def _names(self, data: Path) -> dict[str, str]:
        try:
            names: dict[str, str] = json.loads((data / NAMES).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return names

    def _write_names(self, data: Path, names: Mapping[str, str]) -> None:
        temporary = data / f".{NAMES}-{uuid.uuid4().hex[:8]}"
        temporary.write_text(json.dumps(names, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        temporary.replace(data / NAMES)
