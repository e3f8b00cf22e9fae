"""Functions on arrays, no parameters."""
