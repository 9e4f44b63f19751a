"""Small splits are kept on the device: batches are gathered and augmented there, without transferring pixels."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ktlight.data.augment import gather_pad_crop, shifts, view_uniforms
from ktlight.data.reader import BatchReader
from ktlight.data.samplers import PLAIN_VIEW, BatchRequest
from ktlight.functional.randomness import IntArray
from ktlight.types import Batch

LARGEST_SHARE = 0.1


def fits_on_device(reader: BatchReader, device: torch.device) -> bool:
    """Whether the reader's images are kept in memory and take at most a tenth of a CUDA device's free memory."""
    if device.type != "cuda" or reader.kept is None:
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return reader.kept.nbytes <= LARGEST_SHARE * free


class DeviceReader(Dataset[Batch]):
    """Produces a reader's batches, bit for bit, on a device from a copy of the images there.

    Only a few integers per sample are transferred: its slot and its crop. They are drawn on the CPU, like every view.
    The index stays on the CPU too.

    Args:
        reader: Its images must be kept in memory.
        device: The network's device.
    """

    def __init__(self, reader: BatchReader, device: torch.device) -> None:
        assert reader.kept is not None
        self.reader = reader
        self.device = device
        self.images_NCHW = torch.from_numpy(reader.kept).to(device)
        self.labels_N = torch.from_numpy(reader.table.labels[reader.rows]).to(device)

    def __getitem__(self, request: BatchRequest) -> Batch:
        """Return the batch for ``(view, rows_B)``."""
        view, rows_B = request
        slot_B = self.reader.slots[rows_B]
        if view == PLAIN_VIEW or self.reader.augment.kind == "none":
            slots_B = self._moved(slot_B)
            images = [self.images_NCHW[slots_B]] * (1 if view == PLAIN_VIEW else self.reader.views_at_once)
        else:
            slots_B, images = self._shifted(view, rows_B, slot_B)
        batch: Batch = {
            "image": images[0],
            "label": self.labels_N[slots_B],
            "index": torch.from_numpy(rows_B),
            "view": view,
        }
        if len(images) > 1:
            batch["peer_images"] = images[1:]
        return batch

    def _shifted(self, view: int, rows_B: IntArray, slot_B: IntArray) -> tuple[Tensor, list[Tensor]]:
        """Return the slots and each network's view, using a single transfer."""
        reader = self.reader
        padding = round(reader.augment.padding * reader.framing.size[0])
        uniforms_NBD = [view_uniforms(reader.seed, view, rows_B, network) for network in range(reader.views_at_once)]
        places_N4B = self._moved(
            np.stack([(slot_B, *shifts(uniforms_BD, padding, reader.augment)) for uniforms_BD in uniforms_NBD])
        )
        return places_N4B[0, 0], [gather_pad_crop(self.images_NCHW, places_4B, padding) for places_4B in places_N4B]

    def _moved(self, numbers: IntArray) -> Tensor:
        """Copy integers to the device from pinned memory, without blocking."""
        tensor = torch.from_numpy(numbers)
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)
