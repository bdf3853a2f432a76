"""A session of trials on an arm: plan, journal, control loop, results."""
