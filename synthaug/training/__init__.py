"""Adversarial training: the loop, its checkpoints, the averaged generator and the monitor."""
