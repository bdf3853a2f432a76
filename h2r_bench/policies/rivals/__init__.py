"""What h2r is compared with: Diffusion Policy and XSkill. (`vpp` is h2r's own parts, told the task.)"""
