"""The agents. Each follows `h2r_bench.types.Agent`; the registry lives in `h2r_bench.policies.catalog`."""
