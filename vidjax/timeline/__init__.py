"""What happens when in a long film or before a camera: scores over time, spans of classes, and files that show them."""

from vidjax.lazy import lazily

__getattr__ = lazily(
  __name__,
  {
    "Rule": "vidjax.timeline.spans",
    "Span": "vidjax.timeline.spans",
    "find_spans": "vidjax.timeline.spans",
    "average_precision": "vidjax.timeline.accuracy",
    "mean_average_precision": "vidjax.timeline.accuracy",
  },
)
