"""Backbones, usable on images and on video."""
