"""Families that enlarge images, one file each. `synthaug.models.UPSCALERS` names them."""
