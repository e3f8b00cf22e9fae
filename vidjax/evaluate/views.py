"""Scores of a split: softmax scores of every view, averaged for each video, each video once."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from vidjax.errors import InputError
from vidjax.train.processes import in_step
from vidjax.train.sharding import batch_sharding
from vidjax.train.step import forward
from vidjax.types import Batch, Tree

Scorer = Callable[[Mapping[str, Tree], np.ndarray], np.ndarray]
"""(variables, uint8 clips `[N, T, H, W, C]`) -> softmax scores `[N, K]`."""


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
  """Scores of the videos of a split, in the order of the split.

  Attributes:
    index: int `[N]`, position of the record in its split.
    label: int `[N]`.
    scores: float32 `[N, K]`, rows add up to 1.
  """

  index: np.ndarray
  label: np.ndarray
  scores: np.ndarray


def make_scorer(
  network: nn.Module, normalise: Callable[[jax.Array], jax.Array], mesh: Mesh, dtype: Any = jnp.float32
) -> Scorer:
  """The function that scores clips, the batch split over the mesh; compiled once for every number of clips.

  Args:
    network: called as `(clips, train)`, returns an Output.
    normalise: uint8 clips to the floats the network was trained on.
    mesh: from `make_mesh`; clips are padded to a multiple of its devices.
    dtype: of the computation.

  Returns:
    A scorer. Each of several processes hands in its own clips, as many as the others, and gets their scores back.
  """
  devices, sharding = mesh.local_mesh.size, batch_sharding(mesh)

  def score(variables: Mapping[str, Tree], clips: jax.Array) -> jax.Array:
    output, _ = forward(network, variables, normalise(clips), False, dtype=dtype)
    return jax.nn.softmax(output.logits)

  score = jax.jit(score, out_shardings=sharding)

  def scorer(variables: Mapping[str, Tree], clips: np.ndarray) -> np.ndarray:
    padded = _pad(clips, -(-len(clips) // devices) * devices)
    scores = score(variables, jax.make_array_from_process_local_data(sharding, padded))
    parts = sorted(scores.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(part.data) for part in parts])[: len(clips)]

  return scorer


def score_views(scorer: Scorer, variables: Mapping[str, Tree], clips: np.ndarray, at_once: int | None) -> np.ndarray:
  """Scores `[N, K]` of clips `[N, ...]`, `at_once` of them at a time (all where None)."""
  size = min(at_once or len(clips), len(clips))
  parts = [clips[start : start + size] for start in range(0, len(clips), size)]
  return np.concatenate([scorer(variables, _pad(part, size))[: len(part)] for part in parts])


def score_split(
  scorer: Scorer, variables: Mapping[str, Tree], batches: Iterable[Batch], views_per_batch: int | None = None
) -> Scores:
  """Scores every video of an evaluation loader: the mean softmax score over its views.

  Padding and damaged records (`mask` False) are dropped. Several processes gather their shares: each gets all scores.

  Args:
    scorer: from `make_scorer`.
    variables: `{"params", "batch_stats"}`.
    batches: evaluation batches, `video` is `[B, V, T, H, W, C]`.
    views_per_batch: views that go through the network at once, which bounds the memory (default: all of a batch).

  Raises:
    InputError: no video is left, or a score is not finite.
  """
  if views_per_batch is not None and views_per_batch < 1:
    raise InputError(f"views_per_batch={views_per_batch} must be at least 1")
  rows: list[dict[str, np.ndarray]] = []
  for batch in in_step(batches):
    videos, views = batch["video"].shape[:2]
    clips = np.asarray(batch["video"]).reshape(videos * views, *batch["video"].shape[2:])
    scores = score_views(scorer, variables, clips, views_per_batch).reshape(videos, views, -1).mean(axis=1)
    rows.append({"scores": scores} | {key: np.asarray(batch[key]) for key in ("index", "label", "mask")})
  joined = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]} if rows else {"mask": np.zeros(0, bool)}
  if jax.process_count() > 1:
    joined = multihost_utils.process_allgather(joined, tiled=True)
  keep = np.flatnonzero(joined["mask"])
  if not len(keep):
    raise InputError("there is no readable video to evaluate: choose another split or prepare the data set again")
  keep = keep[np.argsort(joined["index"][keep], kind="stable")]
  result = Scores(joined["index"][keep], joined["label"][keep], joined["scores"][keep])
  broken = result.index[~np.isfinite(result.scores).all(axis=1)]
  if len(broken):
    raise InputError(
      f"the network's scores of {len(broken)} videos are not finite (first: record {broken[0]}): "
      "choose another checkpoint"
    )
  return result


def average(members: Sequence[Scores]) -> Scores:
  """The mean scores of several networks on the same videos: ensembles, two streams.

  Raises:
    InputError: the members are not about the same videos, labels and number of classes.
  """
  first = members[0]
  for number, member in enumerate(members[1:], start=2):
    same = np.array_equal(member.index, first.index) and np.array_equal(member.label, first.label)
    if not same or member.scores.shape != first.scores.shape:
      raise InputError(
        f"scores 1 {first.scores.shape} and {number} {member.scores.shape} are not about the same videos and classes"
      )
  return dataclasses.replace(first, scores=np.mean([member.scores for member in members], axis=0))


def _pad(clips: np.ndarray, length: int) -> np.ndarray:
  """Appends empty clips up to `length`."""
  missing = length - len(clips)
  return np.concatenate([clips, np.zeros((missing, *clips.shape[1:]), clips.dtype)]) if missing else clips
