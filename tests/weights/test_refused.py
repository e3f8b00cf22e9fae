"""Checkpoints that do not fit are refused, with what does not and a remedy."""

import ast
import re

import numpy as np
import pytest

from tests.weights.released import RESNET18, filled, fresh, mini, resnet, shapes_of
from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.errors import InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.weights.export import torch_tensors
from vidjax.weights.load import load_weights


@pytest.mark.parametrize(
  ("blocks", "bottleneck", "message"),
  [
    (
      (3, 4, 6, 3),
      False,
      r"layer1.2.conv1.weight \(4, 4, 3, 3\) has no place in the network; .*; and \d+ more\. Take",
    ),
    ((1, 2, 2, 2), False, r"backbone/res2/block1/conv1/kernel \(3, 3, 4, 4\) finds no layer1.1.conv1.weight"),
    (
      (2, 2, 2, 2),
      True,
      r"backbone/res2/block0/conv1/kernel: layer1.0.conv1.weight: wanted \(3, 3, 4, 4\), found \(4, 4, 1, 1\) \(",
    ),
  ],
)
def test_checkpoints_of_another_depth_are_refused(blocks, bottleneck, message):
  with pytest.raises(InputError, match=message):
    load_weights(
      shapes_of(Recognizer(ResNet(18, 4), 7)),
      filled(resnet(blocks, 4, bottleneck)),
      network=Recognizer(ResNet(18, 4), 7),
    )


def test_shapes_that_differ_are_named(tmp_path):
  network = Recognizer(ResNet(18, 4), 5)
  shapes, tensors = shapes_of(network), filled(resnet(RESNET18, 4, False))
  np.savez(tmp_path / "a.npz", **tensors)
  with pytest.raises(
    InputError, match=r"a.npz does not fit .*classifier/kernel: fc.weight: wanted \(32, 5\), found \(7"
  ):
    load_weights(shapes, tmp_path / "a.npz", network=network)
  tensors = filled(resnet(RESNET18, 8, False, 5))
  message = (
    r"backbone/res2/block0/conv1/kernel: layer1.0.conv1.weight: wanted \(3, 3, 4, 4\), found \(8, 8, 3, 3\) \(PyT"
  )
  with pytest.raises(InputError, match=message):
    load_weights(shapes, tensors, network=network)


def test_a_checkpoint_of_another_kind_is_refused():
  shapes = shapes_of(Recognizer(MiniResNet((4, 4, 4, 4)), 3))
  message = r"checkpoint holds nothing named as in this network: encoder.a, encoder.b; .* finds no layer1.0.conv1.w"
  with pytest.raises(InputError, match=message):
    load_weights(
      shapes, {"encoder.a": np.ones(1), "encoder.b": np.ones(1)}, network=Recognizer(MiniResNet((4, 4, 4, 4)), 3)
    )
  tensors = filled(mini())
  with pytest.raises(InputError, match=r"holds both conv1.weight and base_model.conv1.weight"):
    load_weights(
      shapes,
      {**tensors, "base_model.conv1.weight": tensors["conv1.weight"]},
      network=Recognizer(MiniResNet((4, 4, 4, 4)), 3),
    )


def test_the_remedy_in_the_message_is_one():
  """Another classifier, a stage too wide, and a head too many: accepted as the message says."""
  network = Recognizer(ResNet(18, 4), 5)
  tensors = {**filled(resnet(RESNET18, 4, False)), "aux.fc.weight": np.ones((3, 3))}
  for name in ("layer3.0.conv1.weight", "layer3.0.bn1.running_mean"):
    tensors[name] = np.concatenate([tensors[name]] * 2)
  with pytest.raises(InputError) as error:
    load_weights(fresh(network), tensors, network=network)
  remedy = str(error.value).partition("of load_model, with ")[2]
  options = ast.literal_eval("{" + re.sub(r"(\w+)=", r"'\1':", remedy) + "}")
  assert options == {
    "new": ("backbone/res4/block0/conv1", "classifier", "backbone/res4/block0/bn1/mean"),
    "unused": ("aux",),
  }
  _, report = load_weights(fresh(network), tensors, network=network, **options)
  assert {path.rpartition("/")[0] for path in report.new} == {
    "params/backbone/res4/block0/conv1",
    "params/classifier",
    "batch_stats/backbone/res4/block0/bn1",
  }


def test_numbers_that_are_not_finite_are_refused():
  network = Recognizer(MiniResNet((8, 8, 8, 8)), 3)
  tensors = torch_tensors(fresh(network))
  tensors["layer1.0.conv2.weight"] = np.full_like(tensors["layer1.0.conv2.weight"], np.nan)
  with pytest.raises(InputError, match=r"layer1\.0\.conv2\.weight: holds numbers that are not finite"):
    load_weights(fresh(network), tensors, network=network)


def test_numbers_that_cannot_be_are_refused():
  network = Recognizer(MiniResNet((8, 8, 8, 8)), 3)
  tensors = torch_tensors(fresh(network))
  for name, damaged, message in (
    ("layer1.0.bn2.running_var", -tensors["layer1.0.bn2.running_var"], "holds variances below 0"),
    ("fc.weight", 1j * tensors["fc.weight"], "holds complex64, wanted float32"),
    ("conv1.weight", tensors["conv1.weight"][:, :0], "wanted"),
  ):
    with pytest.raises(InputError, match=rf"{name}: {message}"):
      load_weights(fresh(network), {**tensors, name: damaged}, network=network)
