import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.apply.sharding import SMALL, batch_sharding, check_batch_size, make_mesh, put_batch, state_sharding
from vidjax.errors import ConfigError
from vidjax.layers import BatchNorm
from vidjax.losses.classification import CrossEntropy
from vidjax.tasks.classification import Classification
from vidjax.train.multitask import Weighted, make_blend
from vidjax.train.optimizer import make_optimizer
from vidjax.train.step import init_state, make_train_step
from vidjax.types import Output

CLIP = (2, 4, 4, 8)


class Wide(nn.Module):
  """Two layers and batch statistics, one kernel large enough to be split."""

  @nn.compact
  def __call__(self, clips, train):
    x = clips.reshape(clips.shape[0], -1)
    x = nn.relu(BatchNorm(name="bn")(nn.Dense(SMALL // 256 * 2, name="wide")(x), train))
    return Output(nn.Dense(4, name="classifier")(x), x)


def trained(devices: int, fsdp: bool = False, steps: int = 3, accumulate: int = 1):
  """The state after some steps on so many devices, and the losses on the way."""
  mesh, network = make_mesh(devices), Wide()
  optimizer = make_optimizer(lambda step: 0.05, weight_decay=1e-3, clip_norm=1.0)

  def init(key):
    return init_state(network, CLIP, optimizer, key, ema=True)

  sharding = state_sharding(jax.eval_shape(init, jax.random.key(0)), mesh, fsdp)
  state = jax.jit(init, out_shardings=sharding)(jax.random.key(0))

  def prepare(batch, key):
    return {**batch, "video": batch["video"].astype(jnp.float32) / 128 - 1}

  step = make_train_step(
    network,
    [CrossEntropy()],
    make_blend(Weighted(), 10),
    optimizer,
    prepare,
    Classification(4).measure,
    ema_decay=0.9,
    accumulate=accumulate,
  )
  step = jax.jit(step, out_shardings=(sharding, None), donate_argnums=0)
  losses = []
  for i in range(steps):
    rng = np.random.default_rng(i)
    batch = {"video": rng.integers(0, 256, (16, *CLIP), dtype=np.uint8), "label": np.arange(16) % 4}
    state, metrics = step(state, put_batch({**batch, "mask": np.ones(16, bool)}, mesh), jax.random.key(1))
    losses.append(float(metrics["loss"]))
  return state, losses


@pytest.fixture(scope="module")
def on_eight():
  return trained(8)


def assert_same(result, expected, tolerance):
  (state, losses), (expected_state, expected_losses) = result, expected
  np.testing.assert_allclose(losses, expected_losses, rtol=tolerance)
  for tree, other in ((state.params, expected_state.params), (state.ema, expected_state.ema)):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=tolerance), tree, other)


def test_one_device_trains_as_eight(on_eight):
  """Batch statistics included: they are those of the whole batch."""
  assert_same(trained(1), on_eight, 1e-5)


def test_fsdp_trains_as_replicated_and_splits(on_eight):
  result = trained(8, fsdp=True)
  assert_same(result, on_eight, 1e-6)
  for split in (result[0].params, result[0].ema["params"], result[0].opt_state):
    kernels = [leaf for leaf in jax.tree.leaves(split) if leaf.size >= SMALL]
    assert len(kernels) == 1
    assert kernels[0].addressable_shards[0].data.size == kernels[0].size // 8
  whole = on_eight[0].params["wide"]["kernel"]
  assert whole.addressable_shards[0].data.size == whole.size
  assert result[0].params["wide"]["bias"].sharding.is_fully_replicated


def test_accumulated_parts_are_the_same_on_one_device_and_on_eight():
  assert_same(trained(1, steps=2, accumulate=2), trained(8, steps=2, accumulate=2), 1e-5)


def test_a_batch_is_split_evenly_and_keeps_its_order():
  mesh = make_mesh()
  batch = put_batch({"label": np.arange(16), "mask": np.ones(16, bool)}, mesh)
  assert batch["label"].sharding == batch_sharding(mesh)
  assert [shard.data.tolist() for shard in batch["label"].addressable_shards] == [[i, i + 1] for i in range(0, 16, 2)]
  np.testing.assert_array_equal(batch["label"], np.arange(16))


def test_the_longest_axis_that_divides_is_split():
  mesh = make_mesh(8)
  shapes = {"kernel": (3, 3, 64, 256), "odd": (129, 131), "small": (8, 8), "scalar": ()}
  tree = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
  split = {name: tuple(sharding.spec) for name, sharding in state_sharding(tree, mesh, fsdp=True).items()}
  assert split == {"kernel": (None, None, None, "data"), "odd": (), "small": (), "scalar": ()}
  assert all(s.is_fully_replicated for s in jax.tree.leaves(state_sharding(tree, mesh)))


@pytest.mark.parametrize(("size", "devices", "accumulate"), [(12, 8, 1), (8, 8, 2), (0, 1, 1), (7, 1, 2)])
def test_a_batch_that_does_not_divide_is_an_error(size, devices, accumulate):
  with pytest.raises(ConfigError, match=rf"batch_size={size} must be a multiple of {devices} devices x {accumulate}"):
    check_batch_size(size, make_mesh(devices), accumulate)


def test_a_batch_that_divides_is_not():
  check_batch_size(16, make_mesh(8), 2)


def test_more_devices_than_there_are():
  with pytest.raises(ConfigError, match=r"train\.devices=9, but there are 8 devices"):
    make_mesh(9)


def test_processes_have_as_many_devices_each(monkeypatch):
  """One without any ended with a StopIteration, and the others waited for it."""
  devices = [types.SimpleNamespace(process_index=number // 2) for number in range(4)]
  monkeypatch.setattr(jax, "devices", lambda: devices)
  monkeypatch.setattr(jax, "device_count", lambda: 4)
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  for count, share in ((2, 0), (3, 1)):
    with pytest.raises(ConfigError, match=f"train.devices={count} leaves process 1 {share} devices and process 0 2"):
      make_mesh(count)
