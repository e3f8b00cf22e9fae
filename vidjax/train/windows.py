"""The windows of a whole training split, embedded, and the scale of its features (dte, first step)."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.sharding import NamedSharding, PartitionSpec

from vidjax.apply.processes import tell
from vidjax.apply.sharding import make_mesh
from vidjax.data.records import Records
from vidjax.data.schema import DamagedRecord
from vidjax.errors import ConfigError, InputError
from vidjax.evaluate.views import Scorer, make_scorer, score_split
from vidjax.run.opened import Run
from vidjax.types import Output, Tree

Variables = Mapping[str, Tree]


class Windows(NamedTuple):
  """The windows of the training split that can be read, of the clip of each record that a test takes.

  Attributes:
    index: int `[R]`, numbers of the records.
    z: embeddings `[R, N, D]`.
    q: `[R, N, K]`, or `[R, N, 0]` without clusters.
    mean: `[R, N, F]`, the mean of each window's features, scaled; `[R, N, 0]` where it is not asked for.
  """

  index: np.ndarray
  z: np.ndarray
  q: np.ndarray
  mean: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Answers:
  """Answers with what `Windows` holds.

  Attributes:
    mean: of features, too.
  """

  mean: bool

  def answer(self, output: Output) -> dict[str, jax.Array]:
    z = output.take("embedding")
    nothing = jnp.zeros((*z.shape[:2], 0))
    mean = output.take("window_mean") if self.mean else nothing
    return {"scores": z, "q": output.aux.get("assignment", nothing), "mean": mean}


@functools.lru_cache(maxsize=4)
def _scorer(run: Run, mean: bool) -> Scorer:
  answers: Any = _Answers(mean)
  return make_scorer(dataclasses.replace(run.recipe, task=answers), make_mesh(run.recipe.settings.devices))


def windows(run: Run, variables: Variables, mean: bool = False) -> Windows:
  """Embeds the training split. All processes must call it; each gets everything.

  Args:
    run: of a network that embeds windows.
    variables: `{"params", "batch_stats"}`.
    mean: give `Windows.mean`.
  """
  mesh = make_mesh(run.recipe.settings.devices)
  loader = run.eval_loader(run.data.train_split, run.recipe.settings.batch_size, skip_damaged=True, labelled=False)
  placed = jax.device_put(dict(variables), NamedSharding(mesh, PartitionSpec()))
  found = score_split(_scorer(run, mean), placed, loader.batches(), targets=("mask",))
  return Windows(found.index, found.scores, found.extras["q"], found.extras["mean"])


@dataclasses.dataclass(frozen=True)
class Scaling:
  """Starts `low` and `high` of an `Embedding` at the smallest and largest of each feature in the training split."""

  def __call__(self, run: Run, variables: Variables, loader: Any) -> Variables:
    """See `train.start.begin`; InputError where all features are constant.

    Every step of a record counts. Of a network with `remove_mean`, the record's mean is taken from them.
    """
    records = Records(run.dataset.source(run.data.train_split), run.recipe.stream, labelled=False)
    low, high = np.inf, -np.inf
    for number in range(len(records)):
      try:
        _, film = records[number]
        features = np.asarray(run.normalise(film.decode(np.arange(film.num_frames))))
      except DamagedRecord:
        continue
      if run.network.remove_mean:
        features = features - features.mean(axis=0)
      low, high = np.minimum(low, features.min(axis=0)), np.maximum(high, features.max(axis=0))
    constant = int(np.sum(np.asarray(low) == high))
    if constant == np.size(low):
      raise InputError(f"all features of {run.data.name} are constant: there is nothing to embed; prepare them again")
    if constant:
      tell(f"{constant} of {np.size(low)} features are constant in the training split: they count as 0")
    return with_arrays(variables, {"batch_stats/embedding/low": low, "batch_stats/embedding/high": high})


def with_arrays(variables: Variables, new: Mapping[str, Any]) -> dict[str, Tree]:
  """Variables with other arrays under some paths; the rest are the very arrays that were given.

  Args:
    variables: `{"params", "batch_stats"}`.
    new: path, joined by "/" -> array.

  Raises:
    ConfigError: there is no array of that path.
  """
  flat: dict[str, Any] = traverse_util.flatten_dict(dict(variables), sep="/", keep_empty_nodes=True)
  lacking = sorted(set(new) - set(flat))
  if lacking:
    raise ConfigError(f"the network has no {lacking[0]}: take vidjax.networks.embedding or deep_residual")
  changed = {path: jnp.asarray(x, flat[path].dtype) for path, x in new.items()}
  return traverse_util.unflatten_dict({**flat, **changed}, sep="/")
