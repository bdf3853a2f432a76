"""XSkill (Xu et al. 2023)."""
