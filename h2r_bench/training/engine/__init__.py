"""What every training shares: the loop, its optimiser, checkpoints, run metadata, logs."""
