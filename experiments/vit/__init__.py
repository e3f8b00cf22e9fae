"""A small vision transformer with the parts of the five papers."""
