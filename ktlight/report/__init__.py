"""The output of a run: its folder, results, curves and final table."""
