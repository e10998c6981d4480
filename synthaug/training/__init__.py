"""Adversarial training: the state, one step a game, the loop, checkpoints, and what watches a training."""
