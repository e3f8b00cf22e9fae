"""How fast things are: `python -m vidjax.benchmark train|infer|data --config=FILE`."""
