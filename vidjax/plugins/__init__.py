"""Modules that plug into any backbone."""
