"""Benchmarks: `python -m bench.step`, `bench.runs`, `bench.store`, `bench.input`, `bench.startup`; see docs/performance.md."""
