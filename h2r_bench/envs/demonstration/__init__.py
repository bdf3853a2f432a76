"""Scripted demonstrations: skills, scripts, paired scenes of hand and robot, recordings of both."""
