"""The embedded data set: scikit-learn's handwritten digits, which need no network."""

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from ktlight.data.arrays import TensorTable
from ktlight.data.dataset import ImageDataset, numbered_classes
from ktlight.data.subset import stratified_subset

SIZE = 32
TRAIN_FRACTION = 0.2


def load_digits() -> ImageDataset:
    """Return the 1,797 digits: a stratified 360 for training and 1,437 held out.

    The images of 8 x 8 pixels and 17 grey levels are enlarged once to 32 x 32 RGB pixels, which timm's small models
    accept. Most are held out so that small differences can be detected.
    """
    from sklearn.datasets import load_digits as load_sklearn_digits

    digits = load_sklearn_digits()
    grey = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))
    large = F.interpolate(grey[:, None], size=(SIZE, SIZE), mode="bicubic", antialias=True)  # as `geometry.resize` does
    images = large.expand(-1, 3, -1, -1).contiguous()
    labels = digits.target.astype(np.int64)
    train = stratified_subset(labels, TRAIN_FRACTION)
    val = np.setdiff1d(np.arange(len(labels)), train)
    return ImageDataset(
        "digits", TensorTable(images[train], labels[train]), TensorTable(images[val], labels[val]), numbered_classes(10)
    )
