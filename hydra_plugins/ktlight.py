"""Where Hydra looks for plugins: it takes a sweeper from this package only."""

from ktlight.sweeps import sweeper


class PlannedSweeper(sweeper.PlannedSweeper):
    """See `ktlight.sweeps.sweeper`."""
