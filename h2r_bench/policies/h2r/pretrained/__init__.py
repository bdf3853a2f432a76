"""Weights of others: Stable Diffusion, AnimateDiff, CLIP."""
