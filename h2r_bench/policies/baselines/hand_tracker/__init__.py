"""The trivial solution: go where the hand is."""
