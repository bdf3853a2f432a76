"""What a trained part can do, measured before it acts."""
