"""Benchmarks, one a module: `python -m bench.step`; also runs, store, input, startup. See docs/performance.md."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does
