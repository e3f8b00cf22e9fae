"""One module for each table of the papers, and for the numbers that docs/results.md quotes."""
