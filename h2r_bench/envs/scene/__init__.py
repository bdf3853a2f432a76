"""Scenes: arena, props, surroundings, how they are sampled and what training may see of them."""
