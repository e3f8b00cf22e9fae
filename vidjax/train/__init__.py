"""Training: one loop for every network."""

from vidjax.lazy import lazily

__getattr__ = lazily(
  __name__, {"train": "vidjax.train.training", "make_trainer": "vidjax.train.trainer", "steps": "vidjax.train.loop"}
)
