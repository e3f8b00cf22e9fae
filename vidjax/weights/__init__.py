"""Checkpoints of other libraries: read, fitted to a network by name, and written."""
