"""The subcommands of `python -m h2r_bench.train`."""
