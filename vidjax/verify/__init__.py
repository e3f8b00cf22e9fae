"""Checks of what is published of vidjax: see `python -m vidjax.verify --help`."""
