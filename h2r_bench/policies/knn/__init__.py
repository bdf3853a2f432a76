"""h2r without a human: the most similar training scene says which video to follow (paper, section 4.3)."""
