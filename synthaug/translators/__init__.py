"""Families that start from images, one file each. `synthaug.models.MODELS` names them."""
