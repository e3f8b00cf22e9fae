"""Keyframes from descriptors, the baselines of rtsae 5.1.4 and 5.2: each function returns ascending places in `[0, N)`.

`uniform` and `random` take as many frames as VSUMM estimates clusters where no number is given.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sklearn.cluster import KMeans

from vidjax.recurrent import OPEN
from vidjax.summarize.descriptors import SIMILAR, changes, distances

WINDOW = 5
"""Frames of RankTracing's window."""
RANK = 0.1
"""Share of the largest singular value from which another one counts towards the rank."""


def uniform(descriptors: np.ndarray, count: int | None = None, similar: float = SIMILAR) -> np.ndarray:
  """The middles of equal parts.

  Args:
    descriptors: `[N, D]`.
    count: of frames.
    similar: see `clusters`.
  """
  count = min(count or clusters(descriptors, similar), len(descriptors))
  return (2 * np.arange(count) + 1) * len(descriptors) // (2 * count)


def random(descriptors: np.ndarray, count: int | None = None, similar: float = SIMILAR, seed: int = 0) -> np.ndarray:
  """Frames drawn with equal chances, each at most once.

  Args:
    descriptors: `[N, D]`.
    count: of frames.
    similar: see `clusters`.
    seed: of the draw.
  """
  count = min(count or clusters(descriptors, similar), len(descriptors))
  return np.sort(np.random.default_rng(seed).choice(len(descriptors), count, replace=False))


def vsumm1(descriptors: np.ndarray, count: int | None = None, similar: float = SIMILAR) -> np.ndarray:
  """VSUMM1 (de Avila 2011): k-means, the frame nearest to each centre, and of similar ones the first.

  k-means starts from the means of k equal stretches of the film, so that nothing is drawn.

  Args:
    descriptors: `[N, D]` of sampled frames that show something.
    count: k (default: see `clusters`).
    similar: L1 distance below which two frames are similar.
  """
  nearest = _nearest_to_centres(descriptors, count or clusters(descriptors, similar), False)
  return apart(descriptors, nearest, similar)


def vsumm2(descriptors: np.ndarray, count: int | None = None, similar: float = SIMILAR) -> np.ndarray:
  """VSUMM2: as `vsumm1`, without clusters that have less than half of the mean number of frames.

  Args:
    descriptors: `[N, D]`.
    count: k (default: see `clusters`).
    similar: L1 distance below which two frames are similar.
  """
  nearest = _nearest_to_centres(descriptors, count or clusters(descriptors, similar), True)
  return apart(descriptors, nearest, similar)


def attended(
  descriptors: np.ndarray,
  times: np.ndarray,
  attention: np.ndarray,
  similar: float = SIMILAR,
  gap: float = 0.0,
  count: int | None = None,
) -> np.ndarray:
  """The frames whose attention is above OPEN, the highest if none is; of similar or near ones that of most attention.

  Args:
    descriptors: `[N, D]`.
    times: `[N]` seconds.
    attention: `[N]`, 0 to 1.
    similar: L1 distance below which two frames are similar.
    gap: seconds below which two frames are near: in a dissolve neighbours differ in colour, and look alike.
    count: at most that many, those of the highest attention.
  """
  order = np.argsort(-attention, kind="stable")
  kept: list[int] = []
  for place in order[: max(int((attention > OPEN).sum()), 1)].tolist():
    if len(kept) == count:
      break
    if not kept or (
      np.abs(times[place] - times[kept]).min() >= gap - 1e-3  # containers round times to milliseconds
      and distances(descriptors[[place]], descriptors[kept]).min() >= similar
    ):
      kept.append(place)
  return np.array(sorted(kept), np.int64)


def rank_tracing(descriptors: np.ndarray, count: int | None = None, similar: float = SIMILAR) -> np.ndarray:
  """RankTracing (Abd-Almageed 2008): the last frame of each rise of `ranks`, the first frame of the film included.

  The rank rises where new content enters the window, and falls where the old leaves it.

  Args:
    descriptors: `[N, D]`.
    count: at most that many, those of the highest rank.
    similar: not used; the other choosers have it.
  """
  traced = ranks(descriptors)
  rising = np.diff(traced, prepend=0) > 0
  tops = np.flatnonzero(rising & ~np.append(rising[1:], False))
  order = np.argsort(-traced[tops], kind="stable")
  return np.sort(tops[order[:count]])


def ranks(descriptors: np.ndarray, window: int = WINDOW, share: float = RANK) -> np.ndarray:
  """The number of singular values above `share` of the largest, of the window that ends at each frame, int `[N]`.

  Args:
    descriptors: `[N, D]`.
    window: frames; those before the first are left out.
    share: of the largest singular value.
  """
  last = [np.linalg.svd(descriptors[max(n + 1 - window, 0) : n + 1], compute_uv=False) for n in range(len(descriptors))]
  return np.array([int((values > share * values[0]).sum()) for values in last], np.int64)


def clusters(descriptors: np.ndarray, threshold: float = SIMILAR) -> int:
  """VSUMM's estimate of k: 1, and one more for each frame that is further than `threshold` from the one before.

  Args:
    descriptors: `[N, D]`.
    threshold: L1 distance.
  """
  return 1 + int((changes(descriptors) > threshold).sum())


def apart(descriptors: np.ndarray, order: Iterable[int], threshold: float = SIMILAR) -> np.ndarray:
  """Those of the places `order` that are not similar to one before them in it, ascending.

  Args:
    descriptors: `[N, D]`.
    order: places, the most important first.
    threshold: L1 distance below which two frames are similar.
  """
  kept: list[int] = []
  for place in order:
    if not kept or distances(descriptors[[place]], descriptors[kept]).min() >= threshold:
      kept.append(int(place))
  return np.array(sorted(kept), np.int64)


def _nearest_to_centres(descriptors: np.ndarray, count: int, key_clusters: bool) -> np.ndarray:
  """The frame nearest to the centre of each cluster, ascending."""
  different = len(np.unique(descriptors, axis=0))  # k-means warns of more clusters than that
  count = min(count, different)
  once: Any = 1  # scikit-learn has no types, and pyright takes them from its defaults
  start: Any = np.stack([part.mean(axis=0) for part in np.array_split(descriptors, count)])
  fitted: Any = KMeans(count, init=start, n_init=once).fit(descriptors)
  nearest = []
  for cluster, centre in enumerate(fitted.cluster_centers_):
    members = np.flatnonzero(fitted.labels_ == cluster)
    if len(members) == 0 or (key_clusters and 2 * count * len(members) < len(descriptors)):
      continue
    away = np.linalg.norm(descriptors[members] - centre, axis=-1)
    nearest.append(members[away.argmin()])
  return np.sort(nearest)


METHODS: dict[str, Callable[..., np.ndarray]] = {
  "vsumm1": vsumm1,
  "vsumm2": vsumm2,
  "uniform": uniform,
  "random": random,
  "ranktracing": rank_tracing,
}
"""What `--method` names."""
