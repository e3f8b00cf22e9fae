import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from vidjax.apply.forward import forward
from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import ConfigError
from vidjax.losses.classification import CrossEntropy
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.tasks.classification import Classification
from vidjax.train.multitask import Weighted, make_blend
from vidjax.train.optimizer import TSN_GROUPS, make_optimizer
from vidjax.train.step import init_state, make_train_step
from vidjax.types import Output

CLIP = (3, 16, 16, 3)
KEY = jax.random.key(7)


class Linear(nn.Module):
  """Scores linear in the clip's pixels: every gradient can be written down."""

  num_classes: int = 4
  dropout: float = 0.0

  @nn.compact
  def __call__(self, clips, train):
    x = clips.reshape(clips.shape[0], -1)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return Output(nn.Dense(self.num_classes, name="classifier")(x), x, {"extra": x.sum()})


class Confide(nn.Module):
  """A plug-in with a message for the objectives."""

  @nn.compact
  def __call__(self, x, train):
    self.sow("aux", "mean", x.mean())
    self.sow("intermediates", "attention", x.sum())
    return x


MEASURE = Classification(4).measure


def mini(**arguments) -> Recognizer:
  inserts = (Insert(TSM(), "before"), *arguments.pop("inserts", ()))
  return Recognizer(MiniResNet(widths=(8, 8, 8, 8), inserts=inserts, **arguments), num_classes=4)


def batch_of(size: int, clip=CLIP, seed: int = 0) -> dict[str, np.ndarray]:
  rng = np.random.default_rng(seed)
  video = rng.integers(0, 256, (size, *clip), dtype=np.uint8)
  return {"video": video, "label": rng.integers(0, 4, size).astype("int32"), "mask": np.ones(size, bool)}


def prepare(batch, key):
  return {**batch, "video": batch["video"].astype(jnp.float32) / 128 - 1}


def start(network, optimizer=None, clip=CLIP, ema=False, objectives=(), blend=None, **options):
  optimizer, objectives = optimizer or make_optimizer(lambda step: 0.1), objectives or [CrossEntropy()]
  state = jax.jit(lambda key: init_state(network, clip, optimizer, key, ema))(jax.random.key(0))
  return state, jax.jit(
    make_train_step(network, objectives, make_blend(blend or Weighted(), 10), optimizer, prepare, MEASURE, **options)
  )


def assert_trees_close(tree, expected, tolerance=1e-6):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), tree, expected)


def test_three_steps_of_sgd_against_numpy():
  """Softmax regression with TSN's group rates, momentum, decay on the kernel alone, and the global norm clipped."""
  clip, rate, decay, clip_norm = (2, 2, 2, 1), 0.05, 0.1, 0.3
  optimizer = make_optimizer(
    lambda step: rate / (1 + step), momentum=0.9, weight_decay=decay, clip_norm=clip_norm, groups=TSN_GROUPS
  )
  state, step = start(Linear(), optimizer, clip)
  kernel, bias = (np.asarray(state.params["classifier"][name], "float64") for name in ("kernel", "bias"))
  memory = [np.zeros_like(kernel), np.zeros_like(bias)]
  for i in range(3):
    batch = batch_of(6, clip, seed=i)
    x = batch["video"].reshape(6, -1) / 128 - 1
    scores = x @ kernel + bias
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    target = np.eye(4)[batch["label"]]
    gradients = [x.T @ (p - target) / 6, (p - target).mean(0)]
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    assert norm > clip_norm
    gradients = [g * clip_norm / norm for g in gradients]
    gradients[0] += decay * kernel
    memory = [0.9 * m + g for m, g in zip(memory, gradients, strict=True)]

    state, metrics = step(state, batch, KEY)
    np.testing.assert_allclose(metrics["loss"], -(target * np.log(p)).sum(1).mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["top1"], (scores.argmax(1) == batch["label"]).mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=1e-5)
    kernel -= 5 * rate / (1 + i) * memory[0]
    bias -= 10 * rate / (1 + i) * memory[1]
    assert_trees_close(state.params["classifier"], {"kernel": kernel, "bias": bias}, 1e-5)
  assert int(state.step) == 3


def test_accumulation_equals_the_large_batch():
  """Without batch statistics four parts of two clips are one batch of eight."""
  batch = batch_of(8)
  state, whole = start(mini(frozen_bn="all").clone(dropout=0.0))
  _, parts = start(mini(frozen_bn="all").clone(dropout=0.0), accumulate=4)
  expected, metrics = whole(state, batch, KEY)
  accumulated, metrics_of_parts = parts(state, batch, KEY)
  assert_trees_close(accumulated.params, expected.params)
  assert_trees_close(metrics_of_parts, metrics, 1e-5)
  assert_trees_close(parts(state, batch, KEY)[0], accumulated, 0)


def test_batch_statistics_of_accumulated_parts_follow_each_other():
  batch = batch_of(4)
  state, step = start(mini(), accumulate=2)
  new, _ = step(state, batch, KEY)
  stats = state.batch_stats
  for part in (batch["video"][::2], batch["video"][1::2]):
    clips = prepare({"video": jnp.asarray(part)}, KEY)["video"]
    variables = {"params": state.params, "batch_stats": stats}
    _, stats = forward(mini(), variables, clips, True, {"dropout": KEY})
  assert_trees_close(new.batch_stats, stats, 1e-5)


def test_running_average():
  state, step = start(mini(), ema=True, ema_decay=0.9)
  assert_trees_close(state.ema, {"params": state.params, "batch_stats": state.batch_stats}, 0)
  new, _ = step(state, batch_of(4), KEY)
  fresh = {"params": new.params, "batch_stats": new.batch_stats}
  assert_trees_close(new.ema, jax.tree.map(lambda old, x: 0.9 * old + 0.1 * x, state.ema, fresh))
  assert not np.array_equal(new.ema["params"]["classifier"]["kernel"], new.params["classifier"]["kernel"])


def test_bfloat16_computes_close_to_float32_and_stores_float32():
  state, step = start(mini())
  _, half = start(mini(), dtype=jnp.bfloat16)
  batch = batch_of(4)
  expected, metrics = step(state, batch, KEY)
  new, metrics_half = half(state, batch, KEY)
  assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((new.params, new.batch_stats, metrics_half)))
  np.testing.assert_allclose(metrics_half["loss"], metrics["loss"], rtol=0.02)
  assert metrics_half["loss"] != metrics["loss"]
  assert_trees_close(new.batch_stats, expected.batch_stats, 0.05)


def test_a_step_depends_on_nothing_but_state_batch_and_seed():
  state, step = start(Linear(dropout=0.5))
  batch = batch_of(4)
  new, metrics = step(state, batch, KEY)
  again, metrics_again = step(state, batch, KEY)
  assert_trees_close((again, metrics_again), (new, metrics), 0)
  assert step(state.replace(step=state.step + 1), batch, KEY)[1]["loss"] != metrics["loss"]
  assert step(state, batch, jax.random.key(8))[1]["loss"] != metrics["loss"]


def test_preparation_and_dropout_draw_different_keys():
  seen = []

  def listen(batch, key):
    seen.append(key)
    return prepare(batch, key)

  state, _ = start(Linear())
  step = make_train_step(
    Linear(), [CrossEntropy()], make_blend(Weighted(), 10), make_optimizer(lambda step: 0.1), listen, MEASURE
  )
  step(state, batch_of(4), KEY)
  step(state.replace(step=state.step + 1), batch_of(4), KEY)
  assert not jnp.array_equal(*[jax.random.key_data(key) for key in seen])


@pytest.mark.parametrize("remat", [False, True])
def test_what_plug_ins_sow_reaches_the_objectives_by_path(remat):
  """In the same order with and without remat, which returns its collections sorted."""
  inserts = (Insert(Confide(), "before", stages=(2, 4)), Insert(Confide(), "after", stages=(2,)))
  network = mini(inserts=inserts, remat=remat)
  state, _ = start(mini())
  clips = prepare(batch_of(2), KEY)["video"]
  variables = {"params": state.params, "batch_stats": state.batch_stats}
  output, _ = forward(network, variables, clips, False, intermediates=True)
  assert set(output.aux) == {"frame_features", "frame_logits", "mean", "intermediates"}
  sites = output.aux["intermediates"]["backbone"]
  order = ("res2", "after_Confide"), ("res2", "before_Confide"), ("res4", "before_Confide")
  attention = [sites[stage]["block0"][place]["attention"][0] for stage, place in order]
  sizes = [2 * 3 * 8 * 8 * 8, 2 * 3 * 8 * 8 * 8, 2 * 3 * 4 * 4 * 8]
  np.testing.assert_allclose(output.aux["mean"], np.divide(attention, sizes), rtol=1e-4)
  assert "intermediates" not in forward(network, variables, clips, False)[0].aux


def test_statistics_change_in_training_only():
  state, _ = start(mini())
  variables = {"params": state.params, "batch_stats": state.batch_stats}
  clips = prepare(batch_of(2), KEY)["video"]
  assert_trees_close(forward(mini(), variables, clips, False)[1], state.batch_stats, 0)
  changed = flatten_dict(forward(mini(), variables, clips, True, {"dropout": KEY})[1])
  assert all(not np.array_equal(changed[path], old) for path, old in flatten_dict(state.batch_stats).items())


def test_a_missing_aux_is_an_error_that_says_what_there_is():
  state, step = start(Linear(), objectives=[lambda output, batch: {"l1": output.take("projection").sum()}])
  with pytest.raises(ConfigError, match=r"aux\['projection'\].*it provides: extra"):
    step(state, batch_of(4), KEY)


def test_losses_of_one_name_do_not_replace_each_other():
  state, step = start(Linear(), objectives=(CrossEntropy(), CrossEntropy(label_smoothing=0.1)))
  with pytest.raises(ConfigError, match=r"two of config\.losses are named classification: set `name`"):
    step(state, batch_of(4), KEY)


def test_named_losses_are_weighed_and_logged():
  def size(output, batch):
    return {"size": jnp.mean(output.logits**2)}

  objectives = (CrossEntropy(), size)
  state, step = start(mini(), objectives=objectives, blend=Weighted({"size": lambda step: 0.5 * step}))
  _, metrics = step(state.replace(step=state.step + 3), batch_of(4), KEY)
  assert metrics["weight/size"] == 1.5
  total = metrics["loss/classification"] + 1.5 * metrics["loss/size"]
  np.testing.assert_allclose(metrics["loss"], total, rtol=1e-6)
