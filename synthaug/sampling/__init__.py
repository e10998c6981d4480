"""From a trained generator to images: deterministic sampling, and the gates that reject bad samples."""
