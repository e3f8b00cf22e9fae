"""One module for each table of the papers, and for the numbers the README quotes."""
