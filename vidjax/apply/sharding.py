"""Where arrays lie: batches split over the "data" axis of a mesh, parameters whole on every device or split (fsdp)."""

import collections
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vidjax.errors import ConfigError
from vidjax.types import Batch, Tree

SMALL = 2**14
"""Arrays of fewer elements stay whole under fsdp: splitting them costs more than it saves."""


def make_mesh(devices: int | None = None) -> Mesh:
  """A mesh with the one axis "data" over the first `devices` devices (default: all of every process).

  Raises:
    ConfigError: there are fewer, or the processes would not have as many each.
  """
  count = devices or jax.device_count()
  if count > jax.device_count():
    raise ConfigError(f"train.devices={count}, but there are {jax.device_count()} devices")
  shares = collections.Counter(device.process_index for device in jax.devices()[:count])
  few = min(range(jax.process_count()), key=lambda number: shares[number])
  if shares[few] < max(shares.values()):
    raise ConfigError(
      f"train.devices={count} leaves process {few} {shares[few]} devices and process 0 {shares[0]}: leave it out, or"
      " start fewer processes"
    )
  return jax.make_mesh((count,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:count])


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """The leading axis split over the mesh."""
  return NamedSharding(mesh, PartitionSpec("data"))


def state_sharding(state: Tree, mesh: Mesh, fsdp: bool = False) -> Tree:
  """Sharding of every array of a (shape) tree: whole on every device or, with fsdp, split on its longest even axis.

  Args:
    state: arrays or their shapes.
    mesh: from `make_mesh`.
    fsdp: split arrays of at least SMALL elements that have an axis the number of devices divides.
  """

  def one(x) -> NamedSharding:
    even = [axis for axis, n in enumerate(x.shape) if n % mesh.size == 0]
    if not fsdp or mesh.size == 1 or not even or np.prod(x.shape) < SMALL:
      return NamedSharding(mesh, PartitionSpec())
    longest = max(even, key=lambda axis: x.shape[axis])
    return NamedSharding(mesh, PartitionSpec(*["data" if axis == longest else None for axis in range(len(x.shape))]))

  return jax.tree.map(one, state)


def on_each_device(apply: Callable[[Tree, jax.Array], Tree], mesh: Mesh) -> Callable[[Tree, jax.Array], Tree]:
  """A forward pass in which every device runs its own clips, without a word to the others.

  For networks whose work depends on the data: each device skips what its own clips do not need.

  Args:
    apply: (variables, clips `[B, ...]`) -> arrays `[B, ...]`, or others, which are the same for all clips.
    mesh: from `make_mesh`.
  """

  def run(variables: Tree, clips: jax.Array) -> Tree:
    shapes = jax.eval_shape(apply, variables, clips)
    specs = jax.tree.map(lambda x: PartitionSpec(*["data"] * (x.shape[:1] == (len(clips),))), shapes)
    shared = PartitionSpec()
    return jax.shard_map(apply, mesh=mesh, in_specs=(shared, PartitionSpec("data")), out_specs=specs, check_vma=False)(
      variables, clips
    )

  return run if mesh.size > 1 else apply


def put_batch(batch: Batch, mesh: Mesh) -> Batch:
  """Host arrays, this process's share of the batch, to arrays split over the whole mesh.

  Args:
    batch: host arrays `[B / processes, ...]`.
    mesh: from `make_mesh`.
  """
  sharding = batch_sharding(mesh)
  return {key: jax.make_array_from_process_local_data(sharding, np.asarray(x)) for key, x in batch.items()}


def check_batch_size(batch_size: int, mesh: Mesh, accumulate: int = 1, key: str = "train.batch_size") -> None:
  """Raises ConfigError unless every device gets the same number of clips in every part.

  Args:
    batch_size: clips of all processes together.
    mesh: from `make_mesh`.
    accumulate: parts of a batch that run one after another.
    key: what the error calls the batch size.
  """
  if batch_size < 1 or batch_size % (mesh.size * accumulate):
    raise ConfigError(f"{key}={batch_size} must be a multiple of {mesh.size} devices x {accumulate} accumulated parts")
