"""Nothing is labelled: windows are embedded and fall into clusters (dte, first step). Labels only measure them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.checks import check_fields
from vidjax.errors import InputError
from vidjax.types import Batch, Output, Scores, Summary


@dataclasses.dataclass(frozen=True)
class Clustering:
  """Trains on losses alone; the report says how large the clusters are and what they agree with.

  Attributes:
    labels: what to compare clusters with: "frames", the label that most frames of a window have, of a data set that has
      `frame_labels`; "videos", the video's one class; or "none".
    table: give `losses.ClusterKL` the numbers of the records, for a network that holds p as a table.
    metric: see `types.Task`: "-loss/prediction"; with clusters "-loss/clustering", "-changed" (of a network that knows
      its `records`), "used"; with labels "nmi", "ari" or "accuracy".
  """

  labels: Literal["none", "frames", "videos"] = "none"
  table: bool = False
  metric: str = "-loss/prediction"

  without: ClassVar[Mapping[str, str]] = {"frame_labels": ", or compare with no labels: --config.task.labels=none"}

  def __post_init__(self):
    check_fields(self)

  @property
  def targets(self) -> tuple[str, ...]:
    """See `types.Task`."""
    of = {"none": (), "frames": ("frame_labels",), "videos": ("label",)}
    return ("mask", *of[self.labels], *(("index",) if self.table else ()))

  def prepare(self, batch: Batch) -> Batch:
    """The batch as it is."""
    return batch

  def measure(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """`changed` `[B]`, of a network that knows it: the share of training windows with another cluster than before."""
    return {"changed": output.aux["changed"]} if "changed" in output.aux else {}

  def answer(self, output: Output) -> Mapping[str, jax.Array]:
    """`scores` `[B, K]`, the mean q of a clip, or `[B, D]` without clusters; each window's embedding, places and q."""
    kept = {name: output.aux[name] for name in ("embedding", "places", "assignment") if name in output.aux}
    scores = jnp.mean(output.aux["assignment"], axis=1) if "assignment" in output.aux else output.features
    return {"scores": scores, **kept}

  def summarize(self, scores: Scores, class_names: Sequence[str]) -> Summary:
    """How many clusters are used and how even they are; with labels, how well the clusters agree with them."""
    windows = scores.extras["embedding"].shape[1]
    details: dict[str, Any] = {"videos": len(scores.index), "windows": len(scores.index) * windows}
    if "assignment" not in scores.extras:
      spread = float(scores.extras["embedding"].std(axis=(0, 1)).mean())
      return Summary({"spread": spread}, details, line=f"embeddings spread by {spread:.3f}")
    q = scores.extras["assignment"]
    assigned = q.argmax(axis=-1)
    sizes = np.bincount(assigned.reshape(-1), minlength=q.shape[-1])
    numbers = {"used": float((sizes > 0).mean()), "largest": float(sizes.max() / sizes.sum())}
    details |= {"clusters": q.shape[-1], "empty_clusters": np.flatnonzero(sizes == 0).tolist()}
    tables = {"clusters": [["cluster", "windows"], *([k, int(n)] for k, n in enumerate(sizes))]}
    labels = self._labels(scores)
    if labels is not None:
      numbers |= agreement(assigned.reshape(-1), labels.reshape(-1))
      kinds = np.unique(labels)
      names = [class_names[k] if self.labels == "videos" else f"label {k}" for k in kinds]
      counts = [[int((labels[assigned == k] == kind).sum()) for kind in kinds] for k in range(q.shape[-1])]
      header, *rows = tables["clusters"]
      tables["clusters"] = [[*header, *names], *([*row, *count] for row, count in zip(rows, counts, strict=True))]
    line = "  ".join(f"{name} {value:.2%}" for name, value in numbers.items())
    if details["empty_clusters"]:
      line += f" ({len(details['empty_clusters'])} of {q.shape[-1]} clusters are empty here)"
    return Summary(numbers, details, tables, line=line)

  def _labels(self, scores: Scores) -> np.ndarray | None:
    """The label of each window, `[N_videos, N]`, or None."""
    places = scores.extras["places"]
    if self.labels == "none":
      return None
    if self.labels == "videos":
      if scores.label.ndim > 1:
        raise InputError("task.labels=videos: a video of this data set has several labels: choose none or frames")
      return np.repeat(scores.label[:, None], places.shape[1], axis=1)
    return window_labels(scores.extras["frame_labels"], places)


def window_labels(frame_labels: np.ndarray, places: np.ndarray) -> np.ndarray:
  """The label that most frames of each window have, `[N_videos, N]`; the smallest of several.

  Args:
    frame_labels: `[N_videos, T]`.
    places: `[N_videos, N, L]`, the steps of each window, or `[N, L]` where all videos have the same.
  """
  places = np.broadcast_to(places, (len(frame_labels), *places.shape[-2:]))
  of_steps = np.take_along_axis(frame_labels[:, None], places, axis=2)
  kinds = np.unique(frame_labels)
  votes = np.stack([(of_steps == kind).sum(axis=-1) for kind in kinds], axis=-1)
  return kinds[votes.argmax(axis=-1)]


def agreement(assigned: np.ndarray, labels: np.ndarray) -> dict[str, float]:
  """How well clusters agree with labels: `nmi`, `ari`, and `accuracy` by the best match of one cluster to each label.

  Windows of clusters beyond the number of labels count as wrong in `accuracy`.

  Args:
    assigned: the cluster of each window, int `[N]`.
    labels: int `[N]`.
  """
  from scipy.optimize import linear_sum_assignment
  from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
  from sklearn.metrics.cluster import contingency_matrix

  counts = contingency_matrix(labels, assigned)
  rows, columns = linear_sum_assignment(counts, maximize=True)
  return {
    "nmi": float(normalized_mutual_info_score(labels, assigned)),
    "ari": float(adjusted_rand_score(labels, assigned)),
    "accuracy": float(counts[rows, columns].sum() / len(labels)),
  }
