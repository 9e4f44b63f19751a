"""Metrics as torchmetrics classes: synchronised over processes, fed with predictions and labels."""
