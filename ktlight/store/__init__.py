"""Stored outputs: a frozen model's outputs on a data set are computed once and read by every later run."""
