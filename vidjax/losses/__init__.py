"""Objectives: what a network returned and the batch, to named losses."""
