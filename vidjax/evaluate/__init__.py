"""Scores, metrics and reports."""

from vidjax.lazy import lazily

__getattr__ = lazily(__name__, {"evaluate": "vidjax.evaluate.evaluation"})
