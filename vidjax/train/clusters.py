"""Clusters of the windows of a whole training split: their centres, targets and sizes.

`KMeans` and `InputCentres` start a phase (`init.start`); `Refresh` runs before each of its epochs (`train.refresh`), as
deep embedding clustering does (dte Eq. 18-20; Xie et al., ICML 2016).
"""

import dataclasses
import time
import warnings
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from vidjax.apply.processes import tell
from vidjax.bounds import Count, Whole
from vidjax.checks import check_fields
from vidjax.errors import ConfigError, InputError
from vidjax.ops.clusters import student_q, target_p
from vidjax.train.windows import Variables, check_same_clips, windows, with_arrays

if TYPE_CHECKING:  # the data stack
  from vidjax.run.opened import Run

EVERY = 10.0
"""Seconds between lines that say how far k-means is."""
CENTRES, OWN = "params/clusters/centres", "batch_stats/clusters"


@dataclasses.dataclass(frozen=True)
class KMeans:
  """Starts the centres at those of k-means on the embeddings of the training split (scikit-learn).

  Attributes:
    starts: how often k-means begins at random; the best counts.
    most: windows it takes at most, drawn at random.
    scaled: count distances in units of the root mean square distance of a window to its centre; 1 otherwise [I].
    seed: of the draws.
  """

  starts: Count = 20
  most: Count = 200_000
  scaled: bool = True
  seed: Whole = 0

  def __post_init__(self):
    check_fields(self)

  def check(self, run: "Run") -> None:
    """Raises a ConfigError, before the training, where the network has no clusters."""
    if not getattr(run.network, "clusters", True):
      raise _no_clusters("KMeans")

  def __call__(self, run: "Run", variables: Variables, loader: Any) -> Variables:
    """See `train.start.begin`; InputError where there are fewer windows, or fewer different ones, than clusters."""
    count = len(_centres(variables, "KMeans"))
    z = windows(run, variables, clusters=False).z
    z = z.reshape(-1, z.shape[-1])
    if len(z) > self.most:
      z = np.random.default_rng(self.seed).choice(z, self.most, replace=False)
    tell(f"k-means: {count} clusters of {len(z):,} windows, the best of {self.starts} starts")
    centres = k_means(z, count, self.starts, self.seed)
    scale = np.sqrt(np.mean(nearest_distances(z, centres) ** 2)) if self.scaled else 1
    return with_arrays(variables, {CENTRES: centres, f"{OWN}/scale": scale or 1})


def nearest_distances(z: np.ndarray, centres: np.ndarray) -> np.ndarray:
  """The distance of each vector `[N, D]` to the centre `[K, D]` nearest to it.

  Args:
    z: the vectors.
    centres: the centres.
  """
  from sklearn.metrics import pairwise_distances_argmin

  return np.linalg.norm(z - centres[pairwise_distances_argmin(z, centres)], axis=-1)


def k_means(z: np.ndarray, count: int, starts: int = 20, seed: int = 0) -> np.ndarray:
  """Centres `[K, D]` of vectors `[N, D]`.

  Args:
    z: the vectors.
    count: K.
    starts: how often it begins at random; the best counts.
    seed: of these.

  Raises:
    InputError: there are fewer vectors, or fewer different ones, than K.
  """
  import sklearn.cluster
  from sklearn.exceptions import ConvergenceWarning

  if count > len(z):
    raise InputError(f"clusters={count}: the training split has {len(z)} windows: set model.clusters to at most that")
  draws, told = np.random.RandomState(seed), time.monotonic()
  one: Any = 1
  centres, least, too_few = z[:count], np.inf, False
  for number in range(1, starts + 1):  # one by one, of the same draws as `n_init=starts`, to tell how far it is
    with warnings.catch_warnings(record=True) as noted:
      warnings.simplefilter("always", ConvergenceWarning)
      found: Any = sklearn.cluster.KMeans(count, n_init=one, random_state=draws).fit(z)
    if found.inertia_ < least:
      centres, least = found.cluster_centers_, found.inertia_
      too_few = any(issubclass(x.category, ConvergenceWarning) for x in noted)
    if time.monotonic() - told > EVERY and number < starts:
      told = time.monotonic()
      tell(f"k-means: {number} of {starts} starts are done")
  if too_few:
    raise InputError(
      f"clusters={count}: fewer embeddings of the training split differ from each other: set model.clusters lower, or"
      " train the embedding longer"
    )
  return centres


@dataclasses.dataclass(frozen=True)
class InputCentres:
  """Starts the centres of `DeepResidual(space="input")`: means of the windows of each cluster, 0 of an empty one."""

  def __call__(self, run: "Run", variables: Variables, loader: Any) -> Variables:
    """See `train.start.begin`."""
    path = "params/input_centres"
    if path not in traverse_util.flatten_dict(dict(variables), sep="/"):
      raise ConfigError("init.start=InputCentres: the network has none: set model.space to input")
    _, _, q, mean = windows(run, variables, mean=True)
    own, mean = q.argmax(axis=-1).reshape(-1), mean.reshape(-1, mean.shape[-1])
    centres = np.zeros((q.shape[-1], mean.shape[-1]))
    for k in np.unique(own):  # one by one: of many films, `mean` is large
      centres[k] = mean[own == k].mean(axis=0, dtype=np.float64)
    return with_arrays(variables, {path: centres})


@dataclasses.dataclass(frozen=True)
class Refresh:
  """Before each epoch: the frequencies of Eq. 20 and, where the network holds them, the clusters and p of each record.

  Attributes:
    reseed: move the centre of a cluster that no window belongs to to the window that is farthest from its own.
  """

  reseed: bool = False

  def __post_init__(self):
    check_fields(self)

  def check(self, run: "Run") -> None:
    """Raises an InputError, before the training, where the network holds the clusters of another number of records."""
    held, records = getattr(run.network, "records", None), len(run.training_split.source)
    if held not in (None, records):
      raise InputError(f"model.records={held}: {records} records are trained on: set it to that")

  def __call__(self, run: "Run", variables: Variables, loader: Any) -> Variables:
    """See `train.start.refresh`; empty clusters are told."""
    centres, flat = _centres(variables, "Refresh"), traverse_util.flatten_dict(dict(variables), sep="/")
    if f"{OWN}/table" in flat:
      check_same_clips(run)
    index, z, q, _ = windows(run, variables)
    new: dict[str, Any] = {}
    empty = empty_clusters(q)
    if len(empty) and self.reseed:
      centres = reseeded(z.reshape(-1, z.shape[-1]), centres, q.reshape(-1, q.shape[-1]))
      scale = np.asarray(flat[f"{OWN}/scale"])
      q = np.asarray(student_q(jnp.asarray(z / scale), jnp.asarray(centres / scale), run.network.dof))
      new[CENTRES] = centres
    new[f"{OWN}/frequency"] = frequency = q.sum(axis=(0, 1), dtype=np.float64)
    line = f"clusters: {len(centres) - len(empty)} of {len(centres)} in use"
    if f"{OWN}/assigned" in flat:
      before = np.asarray(flat[f"{OWN}/assigned"])
      assigned = np.full_like(before, -1)
      assigned[index] = q.argmax(axis=-1)
      changed = float(np.mean(assigned[index] != before[index]))
      new |= {f"{OWN}/assigned": assigned, f"{OWN}/changed": np.float32(changed)}
      line += f", {changed:.2%} of the windows changed theirs"
    if f"{OWN}/table" in flat:
      table = np.zeros_like(flat[f"{OWN}/table"])
      table[index] = target_p(jnp.asarray(q), jnp.asarray(frequency, jnp.float32))
      new[f"{OWN}/table"] = table
    if len(empty):
      done = "moved" if self.reseed else "no window belongs to"
      line += f"; {done}: {', '.join(map(str, empty[:8]))}{', ...' if len(empty) > 8 else ''}"
    tell(line)
    return with_arrays(variables, new)


def empty_clusters(q: np.ndarray) -> np.ndarray:
  """The numbers of the clusters that no window of `[..., K]` belongs to."""
  return np.flatnonzero(np.bincount(q.argmax(axis=-1).reshape(-1), minlength=q.shape[-1]) == 0)


def reseeded(z: np.ndarray, centres: np.ndarray, q: np.ndarray) -> np.ndarray:
  """Centres `[K, D]`, those of empty clusters at the vectors farthest from their own centres.

  Args:
    z: `[N, D]`.
    centres: `[K, D]`.
    q: `[N, K]`.
  """
  centres, empty = np.array(centres), empty_clusters(q)
  farthest = np.argsort(-nearest_distances(z, centres), kind="stable")[: len(empty)]
  centres[empty[: len(farthest)]] = z[farthest]
  return centres


def _centres(variables: Variables, asked: str) -> np.ndarray:
  found = traverse_util.flatten_dict(dict(variables), sep="/").get(CENTRES)
  if found is None:
    raise _no_clusters(asked)
  return np.asarray(found)


def _no_clusters(asked: str) -> ConfigError:
  return ConfigError(f"{asked}: the network has no clusters: set model.clusters to how many there are")
