"""Attributes given in Python are checked as those of a config are; messages name module, place and shapes."""

import dataclasses
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.backbones.inception_resnet import InceptionResNetV2
from vidjax.backbones.mobilenet import MobileNetV2
from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.backbones.tdn import TDN
from vidjax.backbones.vgg import VGG
from vidjax.backbones.x3d import X3D
from vidjax.checks import fits
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.flow import Flow
from vidjax.inputs.mbpm import MBPM
from vidjax.inputs.persistent_appearance import PersistentAppearance
from vidjax.inputs.tsp import TSP
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.two_stream import TwoStream
from vidjax.plugins.cbam import CBAM
from vidjax.plugins.chain import Chain
from vidjax.plugins.cpa import CPA
from vidjax.plugins.ett import ETT
from vidjax.plugins.insert import Insert, Inside
from vidjax.plugins.nonlocal_ import NonLocal
from vidjax.plugins.rnl import RNL
from vidjax.plugins.se import SE, SpaceTimeSE
from vidjax.plugins.tim import TIM
from vidjax.plugins.tsm import TSM


class Nothing(nn.Module):
  """Returns nothing."""

  def __call__(self, x, train):
    """Nothing."""


CLIP = jax.ShapeDtypeStruct((1, 3, 8, 8, 8), jnp.float32)


@pytest.mark.parametrize(
  ("module", "message"),
  [
    (RNL(3), r"RNL\(kernel=3\) at the top: must be a tuple of 3, each an odd int of at least 1"),
    (RNL((3, 4, 3)), r"RNL\(kernel=\(3, 4, 3\)\) at the top: must be a tuple of 3, each an odd int of at least 1"),
    (CPA((3, 3, 3)), r"CPA\(kernels=\(3, 3, 3\)\) at the top: must be different kernels of three odd sizes, such as"),
    (CPA(((2, 2, 2),)), r"CPA\(kernels=\(\(2, 2, 2\),\)\) at the top: must be different kernels of three odd sizes"),
    (TIM(8, (3,)), r"TIM\(kernel=\(3,\)\) at the top: must be an odd int of at least 3"),
    (TIM(8, 4), r"TIM\(kernel=4\) at the top: must be an odd int of at least 3"),
    (CBAM(4, (7, 7)), r"CBAM\(kernel=\(7, 7\)\) at the top: must be an odd int of at least 1"),
    (SE(reduction="4"), r"SE\(reduction='4'\) at the top: must be an int of at least 1"),
    (SpaceTimeSE(momentum=1.5), r"momentum=1.5\) at the top: must be a number from 0 to 1"),
    (TSM(2.5), r"TSM\(fold_div=2.5\) at the top: must be an int of at least 2"),
    (NonLocal(sub_sample=1), r"NonLocal\(sub_sample=1\) at the top: must be bool"),
    (MBPM(kernel=8), r"MBPM\(kernel=8\) at the top: must be an odd int of at least 3"),
    (MBPM(sigma=0), r"MBPM\(sigma=0\) at the top: must be a number from 0.001 to 1e\+06"),
    (TSP(frames="3"), r"TSP\(frames='3'\) at the top: must be an int of at least 2"),
    (ResNet(50, frozen_bn="al"), r"ResNet\(frozen_bn='al'\) at the top: must be one of none, all_but_first, all"),
    (MiniResNet(widths=8), r"MiniResNet\(widths=8\) at the top: must be tuple\[int, int, int, int\]"),
    (X3D(stages=()), r"X3D\(stages=\(\)\): must be one or more"),
    (X3D(stages=((0, 24),)), r"\(blocks, channels\) of at least 1"),
    (MobileNetV2(float("nan")), r"width_multiplier=nan\): must be positive"),
    (MobileNetV2(stages=((6, 8, 0, 1),)), r"MobileNetV2\(stages=.*from 1 on"),
    (InceptionResNetV2(blocks=3), r"InceptionResNetV2\(blocks=3\) at the top: must be a tuple of 3, each an int"),
    (InceptionResNetV2(math.inf), r"width_multiplier=inf\) at the top: must be a finite number of at least 1/32"),
    (
      X3D(stages=((1, 12, 3),)),
      r"X3D\(stages=\(\(1, 12, 3\),\)\) at the top: must be tuple\[tuple\[int, int\], \.\.\.\]",
    ),
    (MobileNetV2(stages=((1, 12, 3),)), r"stages=.* must be tuple\[tuple\[int, int, int, int\], \.\.\.\]"),
    (VGG("3", 4), r"VGG\(width='3'\) at the top: must be an int of at least 1"),
    (VGG(depths=(1, 1)), r"VGG\(depths=\(1, 1\)\) at the top: must be a tuple of five"),
    (TDN(X3D(1, 1), 3), r"TDN\(backbone=X3D\): takes ResNet or MiniResNet"),
    (ETT(2, position_sets=3.0), r"ETT\(position_sets=3.0\) at the top: must be one of 0, 1, 3"),
    (ResNet(50.0), r"ResNet\(depth=50.0\) at the top: must be one of 18"),
    (ResNet(18, frozen_bn=np.array(["all", "none"])), r"frozen_bn=.*must be one of none"),
    (Flow(3, levels=0), r"Flow\(levels=0\) at the top: must be an int of at least 1"),
    (Chain(TSM()), r"Chain\(modules=TSM\( # .*\)\) at the top: must be a tuple of one or more modules"),
    (Recognizer(MiniResNet(), 3, nn.Dense(3)), r"Dense: is not called as \(x, train\)"),
    (Recognizer(ResNet(20), 3), r"^ResNet\(depth=20\) at backbone: must be one of 18"),
    (
      Recognizer(MiniResNet(inserts=(Insert(TSM(), "before", stages=(9,)),)), 3),
      r"^Insert\(TSM, stages=\(9,\), .*has no site",
    ),
    (Recognizer(nn.Dense(3), 3), r"Recognizer\(backbone=Dense\): is not called as \(x, train\)"),
    (Chain((Nothing(),)), r"Nothing: returns NoneType, not an array"),
    (
      Recognizer(MiniResNet(), "3"),
      r"Recognizer\(num_classes='3'\) at the top: must be an int of at least 0; leave it out for",
    ),
    (
      Recognizer(MiniResNet(inserts=(Insert(RNL(5), "after"),)), 3),
      r"RNL\(kernel=5\) at backbone/res2/block0/after_RNL",
    ),
  ],
)
def test_what_does_not_fit_is_named_with_its_place(module, message):
  with pytest.raises(InputError, match=message):
    jax.eval_shape(lambda x: module.init(jax.random.key(0), x, False), CLIP)


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: Insert(TSM(), "before", 3), r"Insert\(stages=3\): must be 'all' or tuple\[int, \.\.\.\]"),
    (lambda: Insert(TSM, "before"), r"Insert\(module=.*\): must be flax.linen.module.Module: write TSM\(\)"),
    (lambda: Insert(TSM(), "behind"), r"Insert\(at='behind'\): must be one of ahead, temporal_before, temporal, "),
    (lambda: Inside(TSP(3, 1), 2), r"Inside\(after=2\): must be str"),
  ],
)
def test_inserts_that_are_none(make, message):
  with pytest.raises(ConfigError, match=message):
    make()


def test_lists_in_an_insert_hash_as_tuples():
  assert hash(Insert(TSM(), "before", [3], [0, 1])) == hash(Insert(TSM(), "before", (3,), (0, 1)))


class Wider(TSM):
  """A user's plug-in, with fields of its own: one set later, one whose default is not of its type."""

  later: int = dataclasses.field(init=False)
  width: int = None  # pyright: ignore[reportAssignmentType]
  sizes: Sequence[int] = range(3)


@pytest.mark.parametrize(
  "module",
  [
    Wider(np.int64(4), np.bool_(False)),
    CBAM(2, np.int64(3)),
    PersistentAppearance(3, 4, np.int64(3)),
    MobileNetV2(stages=((1, 8, 1, np.int64(1)),)),
    Recognizer(MiniResNet((4, 4, 4, 4)), np.int64(3)),
    TwoStream((Recognizer(MiniResNet((4, 4, 4, 4)), 3),) * 2, np.int64(3)),
  ],
)
def test_legitimate_values_pass(module):
  jax.eval_shape(lambda x: module.init(jax.random.key(0), x, False), CLIP)


def test_numbers_of_numpy_and_lists_are_as_good():
  module = RNL(kernel=[np.int64(3), 1, 1])
  assert jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x, False)[0], CLIP).shape == CLIP.shape
  assert fits(np.float32(0.5), float)
  assert not fits(True, int)
