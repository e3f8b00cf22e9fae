"""Scores: each video counts once, and the numbers depend on neither batch size, device count nor views at once."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidjax.apply.sharding import make_mesh
from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import InputError
from vidjax.evaluate.views import average, make_scorer, measurable, score_split
from vidjax.losses.classification import CrossEntropy
from vidjax.losses.projection import Projection
from vidjax.networks.recognizer import Recognizer
from vidjax.tasks.classification import Classification
from vidjax.tasks.metrics import summarize
from vidjax.types import Scores

VIDEOS, VIEWS, CLASSES = 13, 3, 6
NAMES = [f"class {k}" for k in range(CLASSES)]


def normalise(clips):
  return clips.astype(jnp.float32) / 64 - 2


def recipe(network, normalise=normalise, dtype=jnp.float32):
  """What a scorer reads of a recipe."""
  return types.SimpleNamespace(network=network, normalise=normalise, dtype=dtype, task=Classification(CLASSES))


@pytest.fixture(scope="module")
def network():
  return Recognizer(MiniResNet(widths=(4, 4, 4, 4)), CLASSES)


@pytest.fixture(scope="module")
def variables(network):
  variables = network.init(jax.random.key(0), jnp.zeros((1, 2, 16, 16, 3)), False)
  head = variables["params"]["classifier"]
  head["kernel"] = 3 * jax.random.normal(jax.random.key(1), head["kernel"].shape)
  return {"params": variables["params"], "batch_stats": variables["batch_stats"]}


@pytest.fixture(scope="module")
def split():
  rng = np.random.default_rng(0)
  video = rng.integers(0, 256, (VIDEOS, VIEWS, 2, 16, 16, 3), dtype=np.uint8)
  return video, rng.integers(CLASSES, size=VIDEOS).astype(np.int32)


def batches(split, batch_size, unreadable=()):
  """What the loader yields: the last batch padded, mask False there and for unreadable records."""
  video, label = split
  for start in range(0, VIDEOS, batch_size):
    index = np.arange(start, start + batch_size)
    inside = index < VIDEOS
    index = np.where(inside, index, 0).astype(np.int32)
    mask = inside & ~np.isin(index, unreadable)
    frames = np.where(inside[:, None, None, None, None, None], video[index], np.uint8(0))
    yield {"video": frames, "label": label[index] * mask, "mask": mask, "index": index, "damaged": inside & ~mask}


def by_hand(network, variables, split):
  video, _ = split
  logits = [network.apply(variables, normalise(jnp.asarray(views)), False).logits for views in video]
  exp = np.exp(np.asarray(logits, np.float64))
  return (exp / exp.sum(axis=-1, keepdims=True)).mean(axis=1)


@pytest.mark.parametrize(
  ("devices", "batch_size", "at_once"), [(1, 1, None), (1, 8, None), (8, 3, None), (8, 8, 5), (8, 13, 1), (8, 40, 7)]
)
def test_scores_are_those_of_each_video_alone(network, variables, split, devices, batch_size, at_once):
  scorer = make_scorer(recipe(network), make_mesh(devices))
  scores = score_split(scorer, variables, batches(split, batch_size), at_once)
  np.testing.assert_array_equal(scores.index, np.arange(VIDEOS))
  np.testing.assert_array_equal(scores.label, split[1])
  np.testing.assert_allclose(scores.scores, by_hand(network, variables, split), atol=2e-6)
  summary = summarize(scores, NAMES)
  right = by_hand(network, variables, split).argmax(axis=1) == split[1]
  assert summary["videos"] == VIDEOS
  assert summary["top1"] == pytest.approx(right.mean())


def test_damaged_records_count_nowhere(network, variables, split):
  scorer = make_scorer(recipe(network), make_mesh(1))
  scores = score_split(scorer, variables, batches(split, 4, unreadable=(2, 12)))
  np.testing.assert_array_equal(scores.index, [0, 1, *range(3, 12)])
  assert summarize(scores, NAMES)["videos"] == VIDEOS - 2


@pytest.mark.parametrize(("devices", "batch_size", "at_once"), [(1, 8, None), (8, 5, 3), (8, 40, None)])
def test_losses_are_means_over_the_videos_that_count(network, variables, split, devices, batch_size, at_once):
  scorer = make_scorer(recipe(network), make_mesh(devices), [CrossEntropy(), CrossEntropy(0.1, "smooth")])
  losses = score_split(scorer, variables, batches(split, batch_size, unreadable=(2, 12)), at_once).losses
  video, label = (np.delete(x, (2, 12), axis=0) for x in split)
  logits = np.stack([network.apply(variables, normalise(jnp.asarray(views)), False).logits for views in video])
  expected = optax.softmax_cross_entropy_with_integer_labels(logits, np.repeat(label[:, None], VIEWS, axis=1)).mean()
  assert losses["loss/classification"] == pytest.approx(float(expected), rel=1e-5)
  assert set(losses) == {"loss/classification", "loss/smooth", "top1"}
  assert losses["loss/smooth"] != losses["loss/classification"]


def test_losses_that_only_training_has_are_told_apart(network):
  asked = recipe(network)
  asked.clip_shape, asked.objectives = (2, 16, 16, 3), [Projection(), CrossEntropy()]
  judged, left_out = measurable(asked, {"label": np.zeros(2, np.int32), "mask": np.ones(2, bool)})
  assert (judged, left_out) == ([CrossEntropy()], [Projection()])


def test_a_scorer_compiles_once_for_each_size(network, variables, split):
  traced = []
  scorer = make_scorer(recipe(network, lambda x: traced.append(x.shape) or normalise(x)), make_mesh(8))
  score_split(scorer, variables, batches(split, 4), views_per_batch=5)
  assert traced == [(8, 2, 16, 16, 3)]


def test_bfloat16_stays_close_and_sums_to_one(network, variables, split):
  scorer = make_scorer(recipe(network, dtype=jnp.bfloat16), make_mesh(1))
  scores = score_split(scorer, variables, batches(split, 8)).scores
  assert scores.dtype == np.float32
  np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
  np.testing.assert_allclose(scores, by_hand(network, variables, split), atol=0.1)


@settings(deadline=None, max_examples=30)
@given(videos=st.integers(1, 20), batch_size=st.integers(1, 9), at_once=st.integers(1, 9), views=st.integers(1, 4))
def test_every_video_once_in_the_order_of_the_split(videos, batch_size, at_once, views):
  """With a scorer that reads the score off the pixels and batches in any order."""

  def scorer(variables, batch):
    value = batch["video"][:, 0, 0, 0, 0].astype(np.float32)
    return np.stack([value, -value], axis=1), {}

  padded = -(-videos // batch_size) * batch_size
  order = np.random.default_rng(videos).permutation(padded).reshape(-1, batch_size)
  feed = []
  for index in order:
    video = index[:, None] + np.arange(views)
    feed.append(
      {"video": video[..., None, None, None, None], "label": index % 2, "mask": index < videos, "index": index}
    )
  scores = score_split(scorer, {}, feed, at_once)
  np.testing.assert_array_equal(scores.index, np.arange(videos))
  np.testing.assert_allclose(scores.scores[:, 0], np.arange(videos) + (views - 1) / 2, rtol=1e-6)


def test_what_cannot_be_scored_is_one_clear_error(split):
  def nan(variables, batch):
    return np.full((len(batch["video"]), 2), np.nan, np.float32), {}

  with pytest.raises(InputError, match=r"13 videos are not finite \(first: film 0\)"):
    score_split(nan, {}, batches(split, 4), name="film {}".format)
  with pytest.raises(InputError, match="no readable video"):
    score_split(nan, {}, batches(split, 4, unreadable=range(VIDEOS)))
  with pytest.raises(InputError, match="no readable video"):
    score_split(nan, {}, [])
  with pytest.raises(InputError, match="views_per_batch=0"):
    score_split(nan, {}, batches(split, 4), 0)


def test_average_of_networks():
  one = Scores(np.array([0, 2]), np.array([1, 0]), np.array([[0.2, 0.8], [0.4, 0.6]]))
  two = Scores(np.array([0, 2]), np.array([1, 0]), np.array([[0.6, 0.4], [0.8, 0.2]]))
  np.testing.assert_allclose(average([one, two]).scores, [[0.4, 0.6], [0.6, 0.4]])
  np.testing.assert_array_equal(average([one]).scores, one.scores)
  for other in (
    Scores(np.array([0, 1]), one.label, one.scores),
    Scores(one.index, np.array([1, 1]), one.scores),
    Scores(one.index, one.label, np.full((2, 3), 1 / 3)),
  ):
    with pytest.raises(InputError, match="not about the same videos"):
      average([one, other])
