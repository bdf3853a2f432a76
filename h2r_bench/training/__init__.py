"""What `python -m h2r_bench.train` is made of."""

from h2r_bench.extras import require

require("torch", "diffusers")
