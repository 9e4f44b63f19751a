"""Images and labels: data sets, subsets, augmented views and the Lightning data module.

The way of a sample: a loader function (in ``digits``, ``parquet``, ``imagefolder``, ``huggingface`` or ``arrays``)
returns an :class:`~ktlight.data.dataset.ImageDataset`, two tables of undecoded images. The
:class:`~ktlight.data.datamodule.ImageDataModule` takes the stratified subset (``subset``), orders it (``samplers``),
brings every image to one square canvas (``geometry``), draws the augmented view (``augment``) and hands out raw uint8
batches (``reader``, ``loader``). What fits in memory is decoded once: on the canvas, or where views are cut from them
the originals (``originals``); small splits move to the device (``device``).

Nothing here holds a random state: the subset is a function of the labels, the order of (seed, epoch) and a view of
(seed, view, network, row), so any of them can be had again on any machine with any number of workers and processes.
"""
