"""Adapters and a head in a backbone that stays: what is frozen costs no gradient and no memory but its own."""

import dataclasses
import functools
import re
import types

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests.tiny_run import make_run, write_data
from tests.train.test_step import KEY, batch_of, prepare
from vidjax.analyse.cost import count_macs
from vidjax.apply.forward import forward
from vidjax.apply.parts import Part, laid_over, picked
from vidjax.apply.sharding import make_mesh
from vidjax.backbones.resnet import MiniResNet
from vidjax.backbones.vit import ViT
from vidjax.errors import ConfigError
from vidjax.inputs.input_norm import InputNorm
from vidjax.inputs.mbpm import MBPM
from vidjax.inputs.series import Series
from vidjax.losses.classification import CrossEntropy
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.rnl import RNL
from vidjax.plugins.st_adapter import st_adapters
from vidjax.run.checkpoint import Checkpoints, load_variables
from vidjax.train.multitask import Weighted, make_blend
from vidjax.train.optimizer import BIAS_AND_BN, Group, make_optimizer
from vidjax.train.step import init_state, make_train_step
from vidjax.train.training import describe

CLIP = (3, 16, 16, 3)
VIT = Recognizer(ViT(16, 4, 2, patch=8, grid=(1, 2, 2), inserts=st_adapters(4)), 4, dropout=0.0)
ADAPTERS = Part(trained=("Adapter", "classifier"))


def begin(network, optimizer, part, ema=None):
  """A function that makes the state, and the step."""
  blend = make_blend(Weighted(), 10)
  make = functools.partial(init_state, network, CLIP, optimizer, KEY, ema is not None, part=part)
  return make, make_train_step(network, [CrossEntropy()], blend, optimizer, prepare, ema_decay=ema, part=part)


def size(tree):
  return sum(x.size for x in jax.tree.leaves(tree))


def test_adapters_train_as_if_the_rest_were_frozen_by_a_rate_of_0_in_the_memory_of_their_own():
  make = functools.partial(make_optimizer, lambda step: 0.01, "adamw", weight_decay=0.1, clip_norm=0.5)
  init, step = begin(VIT, make(), ADAPTERS, ema=0.9)
  state = jax.jit(init)()
  optimizer = make(groups=(Group("^(?!.*(Adapter|classifier))", rate=0.0), BIAS_AND_BN))
  _, whole = begin(VIT, optimizer, Part(), ema=0.9)
  averages = {"params": state.params, "batch_stats": {}}
  other = state.replace(opt_state=optimizer.init(state.params), ema=averages)
  first, trained = state, ADAPTERS.of(state.params)
  assert 0 < size(trained) < size(state.params) / 2
  assert size(state.opt_state) == 2 * size(trained) + 2  # two moments, two counts of steps
  assert size(state.ema) == size(trained)
  assert size(other.opt_state) == 2 * size(state.params) + 2
  step, whole = jax.jit(step), jax.jit(whole)
  for seed in range(2):
    (state, metrics), (other, expected) = (
      run(s, batch_of(4, CLIP, seed), KEY) for run, s in ((step, state), (whole, other))
    )
    np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=1e-6)
  new = flatten_dict(state.params, sep="/")
  for path, old in flatten_dict(first.params, sep="/").items():
    if path in flatten_dict(trained, sep="/"):
      assert not np.array_equal(new[path], old) or not np.abs(old).max(), path
    else:
      np.testing.assert_array_equal(new[path], old, err_msg=path)
  close = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-4)  # an update is .01
  jax.tree.map(close, state.params, other.params)
  jax.tree.map(close, laid_over({"params": state.params, "batch_stats": {}}, state.ema), other.ema)


def test_statistics_without_parameters_are_not_held_with_the_rest():
  """Those of BatchNorms with parameters are, as before; `frozen` names what it holds."""
  stats = {"representation": {"InputNorm": {"bn": {"mean": 0}}}, "backbone": {"bn": {"mean": 0}}}
  params = {"backbone": {"bn": {"scale": 0}, "Adapter": {"kernel": 0}}}
  assert ADAPTERS.of_statistics(stats, params) == {"representation": stats["representation"]}
  assert Part(trained=("backbone",)).of_statistics(stats, params) == stats
  assert Part(frozen=("representation",)).of_statistics(stats, params) == {"backbone": stats["backbone"]}


def test_an_input_norm_before_adapters_learns_its_statistics():
  """Else such a network is evaluated on another scale than it was trained on."""
  network = Recognizer(VIT.backbone, 4, Series((MBPM(sigma=1.1, kernel=3), InputNorm())), dropout=0.0)
  init, step = begin(network, make_optimizer(lambda step: 0.01, "sgd"), ADAPTERS, ema=0.9)
  state = jax.jit(init)()
  new, _ = jax.jit(step)(state, batch_of(4, CLIP), KEY)
  bn = new.batch_stats["representation"]["InputNorm"]["bn"]
  assert np.abs(bn["var"] - 1).min() > 0.01
  averaged = new.ema["batch_stats"]["representation"]["InputNorm"]["bn"]["var"]
  np.testing.assert_allclose(averaged, 0.9 + 0.1 * bn["var"], rtol=1e-6)


def test_a_probe_costs_no_backward_pass_of_its_backbone():
  """Products counted in the step: those of the forward pass, and of the gradient of what is trained."""

  def cost(part):
    make, step = begin(VIT, make_optimizer(lambda step: 0.01), part)
    state = jax.eval_shape(make)
    return count_macs(step, state, batch_of(2, CLIP), KEY), state

  probe, state = cost(Part(trained=("classifier",)))
  video = batch_of(2, CLIP)["video"].astype("float32")
  look = count_macs(lambda v: forward(VIT, v, video, True, {"dropout": KEY})[0].logits, {"params": state.params})
  assert probe == look + 2 * 3 * 16 * 4  # the classifier's kernel, for three frames of two clips
  adapters, whole = cost(ADAPTERS)[0], cost(Part())[0]
  assert look < adapters < 2.4 * look
  assert whole > 2.8 * look
  assert cost(Part(frozen=("backbone",)))[0] == probe


def test_statistics_stay_where_no_pattern_finds_them_and_a_checkpoint_holds_all(tmp_path):
  """RNL's alone change and are averaged; what is read back has the averages, and the rest as it is."""
  backbone = MiniResNet(widths=(8, 8, 8, 8), inserts=(Insert(RNL(), "after", stages=(4,)),))
  part = Part(trained=("RNL", "classifier"))
  init, step = begin(Recognizer(backbone, 4), make_optimizer(lambda step: 0.1), part, 0.9)
  state = jax.jit(init)()
  new, _ = jax.jit(step)(state, batch_of(4, CLIP), KEY)
  before, after = (flatten_dict(one.batch_stats, sep="/") for one in (state, new))
  assert any("RNL" in path for path in before)
  for path, old in before.items():
    assert np.array_equal(after[path], old) != ("RNL" in path), path
  paths = flatten_dict(new.ema["batch_stats"], sep="/")
  assert set(paths) == {path for path in before if "RNL" in path}
  variables = {"params": new.params, "batch_stats": new.batch_stats}
  assert jax.tree.structure(picked(variables, new.ema)) == jax.tree.structure(new.ema)
  expected = laid_over(variables, new.ema)
  assert jax.tree.structure(expected) == jax.tree.structure(variables)
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(new, 1, {})
  checkpoints.close()
  jax.tree.map(np.testing.assert_array_equal, load_variables(tmp_path)[0], expected)
  checkpoints = Checkpoints(tmp_path)
  jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(state)[0], new)
  checkpoints.close()


PARAMS = {"backbone": {"conv": np.ones(2)}, "classifier": {"kernel": np.ones(2), "bias": np.ones(2)}}


@pytest.mark.parametrize(
  ("part", "message"),
  [
    (
      {"trained": ("adapter", "classifier")},
      "train.trained names adapter, which is found in no .*such as backbone/conv, classifier/bias",
    ),
    ({"trained": ("a",)}, "finds every parameter, so that none is frozen: leave it out"),
    ({"trained": ("(",)}, r"train.trained: '\(' is not a regular expression"),
    ({"frozen": ("classifier",), "trained": ("classifier",)}, "two ways to say the same: leave one of them empty"),
    ({"frozen": ("backbone", "classifier")}, "leaves no parameter to train: leave one of them out"),
  ],
)
def test_what_is_no_part_is_refused(part, message):
  with pytest.raises(ConfigError, match=message):
    Part(**part).check(PARAMS)


def test_the_launch_says_how_much_is_trained(tmp_path, capsys):
  """Parameters that stay are in no group of the optimizer."""
  run = make_run(tmp_path / "run", write_data(tmp_path / "data"))
  settings = dataclasses.replace(run.recipe.settings, trained=("classifier",))
  run.recipe = dataclasses.replace(run.recipe, settings=settings)
  params = run.variables["params"]
  whole, trained = size(params), size(params["classifier"])
  described = types.SimpleNamespace(
    **{name: getattr(run, name) for name in ("recipe", "config", "data", "notes", "class_names")},
    dataset=types.SimpleNamespace(splits={run.data.train_split: 5}),
  )
  describe(described, params, 5, make_mesh(1))
  lines = capsys.readouterr().out.splitlines()
  assert any(line.endswith(f"{trained:,} of them are trained, {whole - trained:,} stay as they are") for line in lines)
  groups = [re.search(r"([\d,]+) parameters .*: learning rate x", line) for line in lines]
  assert sum(int(found[1].replace(",", "")) for found in groups if found) == trained
  assert "once more" not in "".join(lines)
  described.data = dataclasses.replace(run.data, balanced=True)
  described.config = {**run.config, "losses": ({**run.config["losses"][0], "weights": "frequency"},)}
  describe(described, params, 5, make_mesh(1))
  assert "weights='frequency' weighs rare classes once more: leave it or data.balanced out" in capsys.readouterr().out
  assert "the averages are still" not in "".join(lines)
  settings = dataclasses.replace(run.recipe.settings, ema_decay=0.999)
  described.recipe = dataclasses.replace(run.recipe, settings=settings)
  described.config = run.config
  describe(described, params, 5, make_mesh(1))
  assert "the averages are still 9" in capsys.readouterr().out
