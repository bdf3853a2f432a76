"""Trials: what one is, how many are run, what is recorded of them."""
