"""Keyframes of films: descriptors, choosers, VSUMM's protocol, and the summaries that are written (rtsae 5.2, 5.3)."""

from vidjax.lazy import lazily

__getattr__ = lazily(
  __name__,
  {
    "scan": "vidjax.summarize.film",
    "fetch": "vidjax.summarize.film",
    "choose": "vidjax.summarize.summary",
    "write": "vidjax.summarize.summary",
    "compare": "vidjax.summarize.matching",
    "over_users": "vidjax.summarize.matching",
  },
)
