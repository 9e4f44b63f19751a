"""The sample router and its rules: which source teaches which sample."""
