"""Classifiers: networks with their own preprocessing, the sources of their weights, and the zoo.

Importing this package, :mod:`ktlight.models.libraries` or :mod:`ktlight.models.spec` imports neither torch nor timm,
so names and configurations are checked quickly.
"""
