"""Keyframes of films: descriptors, choosers, VSUMM's protocol, and the summaries that are written (rtsae 5.2, 5.3)."""
