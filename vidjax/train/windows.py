"""The windows of a whole training split, embedded, and the scale of its features (dte, first step)."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.sharding import NamedSharding, PartitionSpec

from vidjax.apply.processes import tell
from vidjax.apply.sharding import make_mesh
from vidjax.errors import ConfigError, InputError
from vidjax.evaluate.views import Scorer, make_scorer, score_split
from vidjax.types import Film, Output, Tree

if TYPE_CHECKING:  # the data stack
  from vidjax.data.schema import Record
  from vidjax.run.opened import Run

Variables = Mapping[str, Tree]
ROUNDING = 1e-5
"""A feature that varies by less than this share of its size is constant."""


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
    clusters: how windows are assigned to clusters, too.
  """

  mean: bool
  clusters: bool

  def answer(self, output: Output) -> dict[str, jax.Array]:
    z = output.take("embedding")
    nothing = jnp.zeros((*z.shape[:2], 0))
    mean = output.take("window_mean") if self.mean else nothing
    q = output.aux.get("assignment", nothing) if self.clusters else nothing
    return {"scores": z, "q": q, "mean": mean}


@functools.lru_cache(maxsize=4)
def _scorer(run: "Run", mean: bool, clusters: bool) -> Scorer:
  answers: Any = _Answers(mean, clusters)
  return make_scorer(dataclasses.replace(run.recipe, task=answers), make_mesh(run.recipe.settings.devices))


def windows(run: "Run", variables: Variables, mean: bool = False, clusters: bool = True) -> Windows:
  """Embeds the training split. All processes must call it; each gets everything.

  Args:
    run: of a network that embeds windows.
    variables: `{"params", "batch_stats"}`.
    mean: give `Windows.mean`.
    clusters: give `Windows.q`.
  """
  mesh = make_mesh(run.recipe.settings.devices)
  loader = run.eval_loader(None, run.recipe.settings.batch_size, skip_damaged=True, labelled=False, trained=True)
  placed = jax.device_put(dict(variables), NamedSharding(mesh, PartitionSpec()))
  found = score_split(_scorer(run, mean, clusters), placed, loader.batches(), targets=("mask",))
  return Windows(found.index, found.scores, found.extras["q"], found.extras["mean"])


@dataclasses.dataclass(frozen=True)
class Scaling:
  """Starts `low` and `high` of an `Embedding` at the smallest and largest of each feature in the training split."""

  def __call__(self, run: "Run", variables: Variables, loader: Any) -> Variables:
    """See `train.start.begin`; InputError where all features are constant.

    Every step of a record counts. Of a network with `remove_mean`, the record's mean is taken from them.
    """
    low, high, largest = np.inf, -np.inf, 0.0
    for _, film in films(run):
      features = np.asarray(run.normalise(film.decode(np.arange(film.num_frames))))
      largest = np.maximum(largest, np.abs(features).max(axis=0))
      if getattr(run.network, "remove_mean", False):
        features = features - features.mean(axis=0)
      low, high = np.minimum(low, features.min(axis=0)), np.maximum(high, features.max(axis=0))
    constant = np.asarray(high - low <= ROUNDING * largest)
    if constant.all():
      raise InputError(
        f"all features of {run.data.name} are constant, in each video or in all: there is nothing to embed; prepare"
        " them again, of more frames or by another backbone"
      )
    if constant.any():
      tell(f"{constant.sum()} of {constant.size} features are constant in the training split: they count as 0")
    high = np.where(constant, low, high)
    return with_arrays(variables, {"batch_stats/embedding/low": low, "batch_stats/embedding/high": high})


@dataclasses.dataclass(frozen=True)
class InOrder:
  """Several starts, each with the variables that the one before it gives.

  Attributes:
    starts: such as `(Scaling(), KMeans())`.
  """

  starts: tuple[Callable[..., Any], ...]

  def check(self, run: "Run") -> None:
    """Checks each start that can be checked before the training."""
    for start in self.starts:
      if hasattr(start, "check"):
        start.check(run)  # pyright: ignore[reportFunctionMemberAccess]

  def __call__(self, run: "Run", variables: Variables, loader: Any) -> Variables:
    """See `train.start.begin`."""
    for start in self.starts:
      variables = start(run, variables, loader)
    return variables


def films(run: "Run") -> Iterator[tuple["Record", Film]]:
  """The records of the training split that can be read, each with the film that the stream makes of it."""
  from vidjax.data.records import Records
  from vidjax.data.schema import DamagedRecord

  records = Records(run.training_split.source, run.recipe.stream, labelled=False)
  for number in range(len(records)):
    try:
      found = records[number]
    except DamagedRecord:
      continue
    yield found


@functools.lru_cache(maxsize=4)
def check_same_clips(run: "Run") -> None:
  """Raises an InputError unless each training clip of a record is the one that p is held for."""
  remedy = "leave p to the frequencies (model.table=False)"
  if run.transforms or run.recipe.device_transforms:
    raise InputError(
      f"model.table=True holds p of whole clips, and transforms change them: leave them out, or {remedy}"
    )
  sampler, rng = run.recipe.sampler, np.random.default_rng(0)
  for record, film in films(run):
    drawn, held = sampler.train(film.num_frames, rng, film.times), sampler.test(film.num_frames, 1, film.times)[0]
    if not np.array_equal(drawn, held):
      raise InputError(
        f"model.table=True holds p of one clip of each record, and the sampler draws others of {record.video_id}, which"
        f" has {film.num_frames} steps: sample that many (sampler.num_segments), or {remedy}"
      )


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
