"""What the Python functions return: the documents of the commands, which also print well and give samples.

Nothing is imported here: `inspect` needs its result, and not PyTorch, which stands behind the samples.
"""
