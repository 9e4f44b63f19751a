"""Classifiers: a network with its own preprocessing, where its weights come from, and where they are kept.

Importing this package, :mod:`ktlight.models.names` or :mod:`ktlight.models.spec` imports neither torch nor timm,
so names and configurations are checked at once.
"""
