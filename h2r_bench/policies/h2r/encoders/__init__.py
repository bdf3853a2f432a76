"""What an action decoder may look at: video encoders, by name."""
