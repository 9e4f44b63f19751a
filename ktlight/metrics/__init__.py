"""torchmetrics classes, synchronised over processes."""
