"""Before the first trial: aim the camera, find out where the arm stands."""
