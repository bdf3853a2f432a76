"""How good a predicted video is: similarity, and where it shows the gripper."""
