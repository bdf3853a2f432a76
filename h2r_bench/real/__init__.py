"""The real-robot bridge: the same agents on a physical arm. It speaks only the types of `h2r_bench.types`."""
