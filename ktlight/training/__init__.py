"""Training: where Lightning lives."""
