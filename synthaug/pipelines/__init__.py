"""What the commands do, one file a command; the command line and the Python API call these functions."""
