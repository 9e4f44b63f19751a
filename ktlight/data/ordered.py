"""One view of the rows of a split, in order."""

from dataclasses import dataclass

from ktlight.data.features import FeatureReader
from ktlight.data.loader import BatchLoader, batch_loader
from ktlight.data.reader import BatchReader
from ktlight.data.samplers import OrderedBatches
from ktlight.data.shared import rows_identity
from ktlight.functional.randomness import IntArray


@dataclass(frozen=True)
class OrderedView:
    """One view of rows of a split, in the given order: the images that stored outputs are computed from.

    Attributes:
        reader: Reads the split.
        rows: The rows; for what is stored, ascending.
        view: Number of the view; -1 for the plain image.
        transform: Description of everything that a view depends on besides its number.
        batch_size: Rows per batch.
        workers: As for the data module.
    """

    reader: BatchReader | FeatureReader
    rows: IntArray
    view: int
    transform: str
    batch_size: int
    workers: int | None

    @property
    def labels(self) -> IntArray:
        """The labels of the rows."""
        return self.reader.table.labels[self.rows]

    @property
    def repeatable(self) -> bool:
        """Whether a row gives the same pixels every time."""
        return self.reader.table.repeatable

    @property
    def fingerprint(self) -> str:
        """Identity of the images, the labels and the chosen rows."""
        return rows_identity(self.reader.table, self.rows)

    def batches(self, start: int = 0) -> BatchLoader:
        """Return the loader of the rows from position ``start`` on."""
        ordered = OrderedBatches(self.rows[start:], self.batch_size, view=self.view)
        return batch_loader(self.reader, ordered, self.workers)
