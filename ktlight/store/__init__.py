"""Stored outputs: what a frozen model says of a data set is computed once and read by every run after that."""
