"""Augmentation: differentiable (for the discriminator) and classical (for the control arms)."""
