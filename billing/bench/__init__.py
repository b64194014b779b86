"""Benchmarks: every figure beside the physical floor measured in the same run."""
