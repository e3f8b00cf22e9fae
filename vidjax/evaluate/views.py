"""Scores of a split: the task's answers to every view, averaged for each video, each video once."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.apply.forward import forward
from vidjax.apply.processes import in_step
from vidjax.apply.sharding import batch_sharding, on_each_device
from vidjax.errors import InputError, MissingOutput
from vidjax.recipe import Recipe
from vidjax.types import FRAMEWISE, Batch, Objective, Output, Scores, Tree

Scorer = Callable[..., tuple[Any, Mapping[str, float]]]
"""(variables, batch of clips `[N, ...]` with the task's targets) -> the task's answers `[N, ...]`, one array or several
by name; the mean of each loss over the clips of all processes whose mask is True, and under COUNT their number."""

COUNT = ""
"""The name of the number of clips among the losses."""


def make_scorer(recipe: Recipe, mesh: Mesh, objectives: Sequence[Objective] = ()) -> Scorer:
  """The function that scores clips, the batch split over the mesh; compiled once for every number of clips.

  Args:
    recipe: whose network, normalisation, precision and task are used.
    mesh: from `make_mesh`; clips are padded to a multiple of its devices.
    objectives: losses to measure, too.

  Returns:
    A scorer. Each of several processes hands in its own clips, as many as the others, and gets their scores back.
  """
  devices, sharding = mesh.local_mesh.size, batch_sharding(mesh)

  def one(variables: Mapping[str, Tree], clips: jax.Array) -> Output:
    return forward(recipe.network, variables, clips, False, dtype=recipe.dtype)[0]

  apply = on_each_device(one, mesh) if getattr(recipe.network, "skip", False) else one

  def score(variables: Mapping[str, Tree], batch: Batch) -> tuple[Any, dict[str, jax.Array]]:
    clips = recipe.normalise(jnp.asarray(batch["video"]))
    batch, output = {**batch, "video": clips}, apply(variables, clips)
    losses: dict[str, jax.Array] = {}
    if objectives:
      batch = recipe.task.prepare(batch)
      losses = {f"loss/{name}": loss for objective in objectives for name, loss in objective(output, batch).items()}
      measured = recipe.task.measure(output, batch)
      losses |= {name: jnp.mean(x, where=jnp.asarray(batch["mask"])) for name, x in measured.items()}
    return recipe.task.answer(output), losses | {COUNT: jnp.sum(jnp.asarray(batch["mask"]))}

  score = jax.jit(score, out_shardings=(sharding, NamedSharding(mesh, PartitionSpec())))

  def own(x: jax.Array) -> np.ndarray:
    parts = sorted(x.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(part.data) for part in parts])

  def scorer(variables: Mapping[str, Tree], batch: Batch) -> tuple[Any, Mapping[str, float]]:
    clips = len(batch["video"])
    padded = {name: _pad(np.asarray(x), -(-clips // devices) * devices) for name, x in batch.items()}
    placed = {name: jax.make_array_from_process_local_data(sharding, x) for name, x in padded.items()}
    answers, losses = score(variables, placed)
    return jax.tree.map(lambda x: own(x)[:clips], answers), {name: float(loss) for name, loss in losses.items()}

  return scorer


def measurable(recipe: Recipe, batch: Batch) -> tuple[list[Objective], list[Objective]]:
  """The losses that can be measured in evaluation, and those that read what a network has in training alone.

  Args:
    recipe: whose losses.
    batch: two clips and their targets, of any values.
  """

  def measure(objective: Objective) -> Any:
    clips = jnp.zeros((2, *recipe.clip_shape))
    variables = recipe.network.init(jax.random.key(0), clips[:1], False)
    return objective(forward(recipe.network, variables, clips, False)[0], recipe.task.prepare(batch))

  found: tuple[list[Objective], list[Objective]] = ([], [])
  for objective in recipe.objectives:
    try:
      jax.eval_shape(functools.partial(measure, objective))
      found[0].append(objective)
    except MissingOutput:
      found[1].append(objective)
  return found


def _score_views(
  scorer: Scorer, variables: Mapping[str, Tree], batch: Batch, at_once: int | None, totals: dict[str, float]
) -> dict[str, np.ndarray]:
  """Answers `[N, ...]` by name to the clips `[N, ...]` of a batch, `at_once` of them at a time (all where None).

  Adds the losses to `totals`, each times the number of its clips.
  """
  count = len(batch["video"])
  size = min(at_once or count, count)
  rows = []
  for start in range(0, count, size):
    part = {name: np.asarray(x)[start : start + size] for name, x in batch.items()}
    answers, losses = scorer(variables, {name: _pad(x, size) for name, x in part.items()})
    rows.append({name: x[: len(part["video"])] for name, x in by_name(answers).items()})
    clips = losses.get(COUNT, 0)
    for name, loss in losses.items() if clips else ():
      totals[name] = totals.get(name, 0.0) + (loss * clips if name != COUNT else clips)
  return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def by_name(answers: Any) -> Mapping[str, Any]:
  """What a task answers, by name: one array is its "scores"."""
  return answers if isinstance(answers, Mapping) else {"scores": answers}


def score_split(
  scorer: Scorer,
  variables: Mapping[str, Tree],
  batches: Iterable[Batch],
  views_per_batch: int | None = None,
  targets: Sequence[str] = ("label", "mask"),
  name: Callable[[int], str] = "record {}".format,
) -> Scores:
  """Scores every video of an evaluation loader: the mean answer over its views.

  Padding and damaged records (`mask` False) are dropped. Several processes gather their shares: each gets all scores.

  Args:
    scorer: from `make_scorer`.
    variables: `{"params", "batch_stats"}`.
    batches: evaluation batches, `video` is `[B, V, T, H, W, C]` or `[B, V, T, F]`.
    targets: what else of a batch the scorer reads.
    views_per_batch: views that go through the network at once, which bounds the memory (default: all of a batch).
    name: what an error calls the video of a record.

  Raises:
    InputError: no video is left, or a score is not finite.
  """
  if views_per_batch is not None and views_per_batch < 1:
    raise InputError(f"views_per_batch={views_per_batch} must be at least 1")
  rows: list[dict[str, np.ndarray]] = []
  totals: dict[str, float] = {}
  for batch in in_step(batches):
    videos, views = batch["video"].shape[:2]
    clips = {"mask": np.repeat(batch["mask"], views)}
    for key in ("video", *targets):
      x = np.asarray(batch[key])
      of_views = key in ("video", *FRAMEWISE)
      clips[key] = x.reshape(videos * views, *x.shape[2:]) if of_views else np.repeat(x, views, axis=0)
    answers = _score_views(scorer, variables, clips, views_per_batch, totals)
    answers = {key: x.reshape(videos, views, *x.shape[1:]) for key, x in answers.items()}
    read = ("frame_index",) if "frame_index" in batch else ()
    row = {key: np.asarray(batch[key]) for key in ("index", "label", "mask", *targets, *read)}
    row |= {key: row[key][:, 0] for key in FRAMEWISE if key in row}
    rows.append({key: x[:, 0] for key, x in answers.items()} | row | {"scores": answers["scores"].mean(axis=1)})
  joined = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]} if rows else {"mask": np.zeros(0, bool)}
  if jax.process_count() > 1:
    joined = multihost_utils.process_allgather(joined, tiled=True)
  keep = np.flatnonzero(joined["mask"])
  if not len(keep):
    raise InputError("there is no readable video to evaluate: choose another split or prepare the data set again")
  keep = keep[np.argsort(joined["index"][keep], kind="stable")]
  clips = totals.pop(COUNT, 1)
  losses = {name: total / clips for name, total in totals.items()}
  others = {key: x[keep] for key, x in joined.items() if key not in ("index", "label", "mask", "scores")}
  result = Scores(joined["index"][keep], joined["label"][keep], joined["scores"][keep], losses, others)
  broken = result.index[~np.isfinite(result.scores).all(axis=tuple(range(1, result.scores.ndim)))]
  if len(broken):
    raise InputError(
      f"the network's scores of {len(broken)} videos are not finite (first: {name(int(broken[0]))}): "
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
