"""The sample router: which source teaches which sample."""
