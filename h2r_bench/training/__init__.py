"""What `python -m h2r_bench.train` is made of."""
