"""Whole families: where each shifts, and what its released code has set where the names cannot tell."""

import re

import numpy as np
import pytest

from tests.networks.test_bqn import RELEASED, RELEASED_X3D
from tests.weights.released import SHIFT, filled, fresh, resnet, shapes_of
from tests.weights.test_names import SMALL, tsm_mobilenet
from vidjax.backbones.mobilenet import MobileNetV2
from vidjax.backbones.resnet import ResNet
from vidjax.backbones.tdn import TDN
from vidjax.backbones.x3d import X3D
from vidjax.errors import InputError
from vidjax.networks.bqn import BQN
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.two_stream import TwoStream
from vidjax.plugins.chain import Chain
from vidjax.plugins.insert import Insert
from vidjax.plugins.nonlocal_ import NonLocal
from vidjax.plugins.rnl import RNL
from vidjax.plugins.se import SpaceTimeSE
from vidjax.plugins.tim import TIM
from vidjax.plugins.tsm import TSM, released_shift
from vidjax.weights.export import torch_tensors
from vidjax.weights.load import ReleasedSettings, load_weights


def network(depth: int, *inserts: Insert) -> Recognizer:
  return Recognizer(ResNet(depth, 8, inserts=inserts), 3)


def tsm(depth: int, blocks: tuple[int, ...], every: int = 1) -> dict[str, np.ndarray]:
  """As TSM's code names the tensors of a ResNet with the shift in every `every`-th block."""
  tensors = {}
  for name, x in filled(resnet(blocks, 8, depth > 34, 3)).items():
    block = re.match(r"layer\d\.(\d+)\.conv1\.", name)
    if block and int(block[1]) % every == 0:
      name = name.replace("conv1.", "conv1.net.")
    tensors["new_" + name if name.startswith("fc.") else f"base_model.{name}"] = x
  return tensors


R18, R101 = tsm(18, (2, 2, 2, 2)), tsm(101, (3, 4, 23, 3), every=2)
PLAIN = {name.replace(".net.", "."): x for name, x in R18.items()}


@pytest.mark.parametrize("wrong", [SHIFT, Insert(TSM(), "after"), Insert(TSM(), "before", (3,))])
def test_resnet_101_shifts_every_second_block(wrong):
  right = network(101, released_shift(101))
  load_weights(shapes_of(right), R101, network=right)
  with pytest.raises(InputError, match=r"as 18 of 33 blocks do, and this network shifts .*blocks='even'\)$"):
    load_weights(shapes_of(network(101, wrong)), R101, network=network(101, wrong))


def test_a_learnt_shift_is_one():
  made = network(18, Insert(TIM(), "before"))
  load_weights(fresh(made), R18, network=made)


def test_a_network_without_shift_may_be_fine_tuned_with_it():
  made = network(18, SHIFT)
  load_weights(fresh(made), PLAIN, network=made, new=("classifier",))


def test_the_shift_of_mobilenet():
  def mobile(*blocks: int) -> Recognizer:
    inserts = (Insert(TSM(), "before", blocks=blocks, stages=(3, 4)),) if blocks else ()
    return Recognizer(MobileNetV2(stages=SMALL, inserts=inserts), 3)

  tensors = {name.removeprefix("module."): x for name, x in tsm_mobilenet().items()}
  load_weights(shapes_of(mobile(1)), tensors, network=mobile(1))
  for wrong in (mobile(), mobile(0, 1)):
    with pytest.raises(InputError, match=r"features\.3\.conv\.0\.net\.weight .*blocks=TSM_BLOCKS"):
      load_weights(shapes_of(wrong), tensors, network=wrong)


def test_each_of_two_streams_has_a_shift_of_its_own():
  parts = {"spatial": R18, "temporal": PLAIN}
  tensors = {f"{part}.{re.sub('base_model.|new_', '', n)}": x for part, of in parts.items() for n, x in of.items()}
  right, wrong = (TwoStream((network(18, *a), network(18, *b)), 3) for a, b in (([SHIFT], []), ([], [SHIFT])))
  load_weights(shapes_of(right), tensors, network=right)
  with pytest.raises(InputError, match="shifts no block"):
    load_weights(shapes_of(wrong), tensors, network=wrong)


def x3d(**options) -> Recognizer:
  return Recognizer(X3D(0.5, 0.5), 3, **options)


def chain(*modules) -> Recognizer:
  return network(18, Insert(Chain(modules), "after", (3,), (0,)))


RNL_3, GATE = RNL((3, 3, 3)), SpaceTimeSE(2, pool="attention", bias=True)
SMALL_BQN = {"backbone": ResNet(18, 8, inserts=(SHIFT,)), "num_classes": 3, "lateral_kernels": (3,)}
SMALL_X3D = {**RELEASED_X3D, "backbone": X3D(0.5, 0.5), "num_classes": 3, "lateral_kernels": (3,), "hidden": 8}
STATED = {
  "quiet form": (BQN(**SMALL_BQN, **{**RELEASED, "quiet_form": "complement"}), "BQN(quiet_form='first'), this network"),
  "fusion": (BQN(**SMALL_BQN, **RELEASED, fusion="max"), "BQN(fusion='average'), this network 'max'"),
  "shift of BQN": (
    BQN(**{**SMALL_BQN, "backbone": ResNet(18, 8)}, **RELEASED),
    "Insert(TSM(), 'before') in all blocks",
  ),
  "consensus of BQN": (BQN(**{**SMALL_X3D, "consensus": "logits"}), "BQN(consensus='features'), this network 'logits'"),
  "consensus": (x3d(hidden=8), "X3D's has Recognizer(consensus='features'), this network 'logits'"),
  "non-local form": (network(18, Insert(NonLocal("dot"), "after", (3,), (0,))), "form='embedded_gaussian'"),
  "RNL's form": (network(18, Insert(RNL((3, 3, 3), "dot"), "after", (3,), (0,))), "RNL(form='gaussian')"),
  "chain": (chain(RNL_3, GATE), "SpaceTimeSE before RNL"),
  "share": (Recognizer(TDN(ResNet(18, 16), 3, share=0.3, reduction=4), 3), "TDN(share=0.5 or 0.25), this network 0.3"),
}
RELEASED_ONES = (
  BQN(**SMALL_BQN, **RELEASED),
  BQN(**SMALL_X3D),
  x3d(hidden=8, consensus="features"),
  x3d(),  # a linear head gives the same scores with either consensus
  chain(GATE, RNL_3),
  Recognizer(TDN(ResNet(18, 16), 3, share=0.25, reduction=4), 3),
)


@pytest.mark.parametrize("name", STATED)
def test_what_names_cannot_tell_is_one_warning(name):
  made, words = STATED[name]
  size = {"size": 64, "frames": 3}
  with pytest.warns(ReleasedSettings, match=f"names cannot tell.*{re.escape(words)}") as caught:
    _, report = load_weights(shapes_of(made, **size), torch_tensors(fresh(made, **size)), network=made)
  assert len(caught) == len(report.settings) == 1
  assert f"  settings: {report.settings[0]}" in str(report).splitlines()


@pytest.mark.parametrize("made", RELEASED_ONES)
def test_released_settings_are_no_warning(made):
  size = {"size": 64, "frames": 3}
  _, report = load_weights(shapes_of(made, **size), torch_tensors(fresh(made, **size)), network=made)
  assert not report.settings
