"""The config tree: where it lives, what can be named in it, and what a wrong name was meant to be.

Nothing here imports torch: `--help` and a config error answer at once.
"""
