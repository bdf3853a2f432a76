"""Who sets up, shows and judges: a person at a terminal, or the twin's simulator."""
