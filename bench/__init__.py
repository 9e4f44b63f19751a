"""Benchmarks, one per module, such as `python -m bench.step`; see docs/performance.md."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does
