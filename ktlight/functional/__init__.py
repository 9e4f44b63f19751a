"""Pure functions, tensors in and tensors out: losses, routing rules, target rules, flips, statistics, interpolation.

They are stateless, do not synchronise with the device unless they say so, and know nothing of models, data or training.
Import each from its own module; the functions of `STABLE`, whose names and arguments stay as they are, can also be
imported from here.
"""

from importlib import import_module
from typing import Any

STABLE = {
    "correlation_distance": "correlation",
    "decoupled_divergence": "decoupled",
    "kl_divergence": "losses",
    "map_logits": "label_spaces",
    "most_confident": "routing",
    "prediction_flips": "flips",
    "standardize_logits": "standardization",
}
"""The module of each function."""


def __getattr__(name: str) -> Any:
    """Return a stable function; its module is imported only now, since that takes torch with it."""
    if name not in STABLE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{STABLE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *STABLE})
