"""What trainings draw from: frames, clips, augmentations, cached arrays."""
