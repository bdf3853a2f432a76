"""Scene cards: what a person puts where."""
