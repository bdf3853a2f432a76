"""What h2r is compared with: Diffusion Policy and XSkill. (`vpp` is h2r's own parts, told the task.)"""

from h2r_bench.extras import require

require("torch", "diffusers")
