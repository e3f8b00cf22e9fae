"""Data sets made of videos."""
