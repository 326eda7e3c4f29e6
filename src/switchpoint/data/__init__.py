"""From raw files to pool, sets, prompts and benchmarks."""
