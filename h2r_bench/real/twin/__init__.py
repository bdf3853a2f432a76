"""The twin: our tabletop world behind Franka's own network protocol, so that a whole session runs unattended.

One process (`python -m h2r_bench.real.twin`) holds the world. On one side it is a Franka control box, to
which the real driver connects; on the other it answers, over a loopback socket, what only a simulator can:
rendered frames, new scenes, verdicts, the simulated time.
"""
