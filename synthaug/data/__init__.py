"""From a folder of images to a leak-free split and arrays (scan → split → cache → batches), and the class plan."""
