"""What learned policies share: chunks, checkpoints, normalisation, layers, language."""

from h2r_bench.extras import require

require("torch", "diffusers")
