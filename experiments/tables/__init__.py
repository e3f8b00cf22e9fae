"""What the tables of all papers share: rows as data, and the three scales at which they are run."""
