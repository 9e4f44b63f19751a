"""ktlight: measure what one trained classifier knows that another does not, and transfer it.

The Python entry point is `ktlight.transfer`; it is imported on first use, since it needs torch.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["transfer"]

if TYPE_CHECKING:
    from ktlight.api import transfer


def __getattr__(name: str) -> Any:
    """Import the public entry point when it is first asked for."""
    if name == "transfer":
        from ktlight.api import transfer

        return transfer
    raise AttributeError(f"module 'ktlight' has no attribute {name!r}")
