"""Human2Robot: a video prediction model that imagines the robot, and a decoder that reads actions from it."""

from h2r_bench.extras import require

require("torch", "diffusers")
