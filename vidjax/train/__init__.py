"""Training: one loop for every network."""

from vidjax.lazy import lazily

__getattr__ = lazily(
  __name__,
  {
    "train_run": "vidjax.train.phases",
    "make_trainer": "vidjax.train.trainer",
    "steps": "vidjax.train.loop",
    "init_state": "vidjax.train.step",
    "make_train_step": "vidjax.train.step",
    "make_blend": "vidjax.train.multitask",
  },
)
