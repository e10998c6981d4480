"""Samples of a trained generator, and the gates that reject bad samples."""
