"""Images and labels: data sets, subsets, augmented views and the Lightning data module.

The path of a sample: a loader function (in ``digits``, ``parquet``, ``imagefolder``, ``huggingface`` or ``arrays``)
returns an :class:`~ktlight.data.dataset.ImageDataset`, two tables of images, most of them still encoded (``encoded``,
``columns``, ``files``) until they are asked for (``decoding``); ``classes`` names its classes. The
:class:`~ktlight.data.datamodule.ImageDataModule` takes the stratified subset (``subset``), orders it (``samplers``),
draws augmented views (``augment``) or brings plain images into a model's own framing, and hands out raw uint8 batches
(``reader``, ``loader``). What fits in memory is decoded once: as plain images, or where views are cut from them the
originals (``originals``); small splits move to the device (``device``).

Nothing here holds random state: the subset is a function of the labels, the order of (seed, epoch) and a view of
(seed, view, network, row), so each is reproducible on any machine with any number of workers and processes.
"""
