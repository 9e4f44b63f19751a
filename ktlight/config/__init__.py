"""The config tree: its location, valid names, and suggestions for wrong ones.

Nothing here imports torch, so `--help` and config errors are fast.
"""
