"""Configs: values only. `python -m vidjax.train --config=configs/FILE.py[:argument]`."""
