"""The Franka arm: its model, its meshes, its kinematics."""
