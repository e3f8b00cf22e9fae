"""Whole networks by their released names. files/*.json hold names and shapes of torchvision 0.28 and timm 1.0.31

and the scores they give, in float64, where every array is a `wave` of its name: `resnet18`, `mobilenet_v2` with the
stages [[1, 8, 1, 1], [6, 8, 2, 2], [6, 16, 2, 2]], timm's `mobilenetv2_035`, and its `inception_resnet_v2` cut to two,
one and one plus one blocks; five classes each.
"""

import json
import pathlib
import re
import zlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file

from tests.weights.released import (
  SHIFT,
  check_golden_block,
  filled,
  fresh,
  golden_weights,
  param_group_shapes,
  shapes_of,
)
from vidjax.backbones.inception_resnet import InceptionResNetV2
from vidjax.backbones.mobilenet import MobileNetV2
from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.backbones.tdn import TDN
from vidjax.backbones.vgg import VGG
from vidjax.backbones.x3d import X3D
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.mbpm import MBPM
from vidjax.networks.bqn import BQN
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.rtsae_dscnn import RTSAEDSCNN, Measured
from vidjax.plugins.chain import Chain
from vidjax.plugins.insert import Insert, Inside
from vidjax.plugins.nonlocal_ import NonLocal
from vidjax.plugins.rnl import RNL
from vidjax.plugins.se import SpaceTimeSE
from vidjax.plugins.tsm import TSM
from vidjax.weights.export import export, torch_tensors
from vidjax.weights.load import load_weights

FILES = pathlib.Path(__file__).parent / "files"
SMALL = ((1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 2, 2))


def wave(name: str, shape: tuple[int, ...]) -> np.ndarray:
  """Numbers in [-1, 1] that look random, scaled as a layer's array of this name should be."""
  phase = zlib.crc32(name.encode()) % 1000
  x = 2 * (43758.5453 * np.sin(12.9898 * np.arange(np.prod(shape)) + phase) % 1) - 1
  if name.endswith("running_var"):
    x = 1 + 0.5 * x
  elif len(shape) == 1 and name.endswith("weight"):
    x = 1 + 0.3 * x
  elif len(shape) == 1:
    x = 0.1 * x
  elif name != "input":
    x = x * np.sqrt(6 / np.prod(shape[1:]))
  return x.reshape(shape).astype(np.float32)


@pytest.mark.parametrize(
  ("name", "backbone"),
  [
    ("torchvision_resnet18", ResNet(18)),
    ("torchvision_mobilenet", MobileNetV2(stages=SMALL)),
    pytest.param("timm_mobilenet", MobileNetV2(0.35), marks=pytest.mark.slow),
    pytest.param("timm_inception_resnet", InceptionResNetV2(blocks=(2, 1, 2)), marks=pytest.mark.slow),
  ],
)
def test_scores_of_torchvision_and_timm(name, backbone):
  golden = json.loads((FILES / f"{name}.json").read_text())
  tensors = {name: wave(name, shape) for name, shape in golden["shapes"].items() if shape or "num_batches" not in name}
  clips = np.moveaxis(wave("input", (2, 3, golden["size"], golden["size"])), 1, -1)[:, None]
  network = Recognizer(backbone, 5)
  variables, report = load_weights(shapes_of(network, golden["size"], frames=1), tensors, network=network)
  assert not report.new
  assert not report.unused
  logits = jax.jit(lambda variables, clips: network.apply(variables, clips, False).logits)(variables, clips)
  np.testing.assert_allclose(logits, golden["logits"], rtol=0, atol=1e-4 * np.abs(golden["logits"]).max())


LIKE_SLOWFAST = {
  r"^blocks\.0\.conv\.conv_t": "s1.pathway0_stem.conv_xy",
  r"^blocks\.0\.conv\.conv_xy": "s1.pathway0_stem.conv",
  r"^blocks\.0\.norm": "s1.pathway0_stem.bn",
  r"^blocks\.5\.pool\.pre_conv": "head.conv_5",
  r"^blocks\.5\.pool\.pre_norm": "head.conv_5_bn",
  r"^blocks\.5\.pool\.post_conv": "head.lin_5",
  r"^blocks\.5\.proj": "head.projection",
  r"^blocks\.1\.res_blocks\.": "s2.pathway0_res",
  r"^blocks\.2\.res_blocks\.": "s3.pathway0_res",
  r"^blocks\.3\.res_blocks\.": "s4.pathway0_res",
  r"^blocks\.4\.res_blocks\.": "s5.pathway0_res",
  r"branch1_conv": "branch1",
  r"branch1_norm": "branch1_bn",
  r"norm_b\.1\.block\.0": "se.fc1",
  r"norm_b\.1\.block\.2": "se.fc2",
  r"norm_b\.0": "b_bn",
  r"norm_([ac])": r"\1_bn",
  r"conv_([abc])\.": r"\1.",
}
"""PyTorchVideo's names to SlowFast's, which has them from slowfast/models/{stem,resnet,head}_helper.py."""


def test_golden_x3d(shared_golden):
  """By PyTorchVideo's names the golden scores; by SlowFast's the same variables."""
  golden = np.load(shared_golden / "x3d_tiny.npz")
  tensors = golden_weights(shared_golden / "x3d_tiny.npz")
  network = Recognizer(X3D(1.0, 1.0), num_classes=7, consensus="features", hidden=64)
  variables, report = load_weights(shapes_of(network), tensors, network=network)
  assert sorted(report.loaded.values()) == sorted(tensors)
  clips = jnp.asarray(np.moveaxis(golden["x"], 1, -1))
  logits = jax.jit(lambda variables, clips: network.apply(variables, clips, False).logits)(variables, clips)
  np.testing.assert_allclose(logits, golden["logits"], rtol=1e-3, atol=1e-3 * np.abs(golden["logits"]).max())

  for pattern, name in LIKE_SLOWFAST.items():
    tensors = {re.sub(pattern, name, key): x for key, x in tensors.items()}
  assert {"s2.pathway0_res0.branch2.se.fc1.bias", "s5.pathway0_res2.branch2.c_bn.running_var"} <= set(tensors)
  again, report = load_weights(shapes_of(network), tensors, network=network)
  assert sorted(report.loaded.values()) == sorted(tensors)
  jax.tree.map(np.testing.assert_array_equal, again, variables)


def test_the_shortcut_bn_of_slowfast_s_x3d_has_a_hint():
  def x3d(**options: bool) -> Recognizer:
    return Recognizer(X3D(0.5, 0.5, **options), 4, consensus="features", hidden=24)

  tensors = torch_tensors(fresh(x3d(shortcut_bn=True)))
  for pattern, name in LIKE_SLOWFAST.items():
    tensors = {re.sub(pattern, name, key): x for key, x in tensors.items()}
  with pytest.raises(InputError, match=r"branch1_bn.*has its place with shortcut_bn=True"):
    load_weights(shapes_of(x3d()), tensors, network=x3d())


SITES = ((3, (0, 2)), (4, (0, 2, 4)))


def test_released_non_local_network(shared_golden):
  """TSM's own non-local ResNet-50, by every name its code has."""
  inserts = tuple(Insert(NonLocal(sub_sample=True), "after", (stage,), blocks) for stage, blocks in SITES)
  shapes = param_group_shapes(shared_golden / "param_groups_tsm.json", "NL npb fc_lr5")
  classes = shapes["new_fc.bias"][0]
  network = Recognizer(ResNet(50, inserts=(SHIFT, *inserts)), classes)
  variables, report = load_weights(shapes_of(network), filled(shapes), network=network)
  assert sorted(report.loaded.values()) == sorted(shapes)
  assert not report.new
  assert flatten_dict(variables).keys() == flatten_dict(shapes_of(network)).keys()


@pytest.mark.parametrize(("variant", "module"), [("sub_sample", NonLocal(sub_sample=True)), ("full", NonLocal())])
def test_golden_non_local_block(variant, module, shared_golden):
  check_golden_block(shared_golden / "nl_block.npz", variant, module)


def tsm_mobilenet() -> dict[str, np.ndarray]:
  """The tensors of the released TSM's MobileNetV2 with the stages SMALL and three classes, as its code names them."""
  tensors: dict[str, np.ndarray] = {}

  def conv_bn(prefix: str, conv: str, bn: str, *shape: int) -> None:
    arrays = {f"{conv}.weight": shape}
    arrays |= {f"{bn}.{leaf}": shape[:1] for leaf in ("weight", "bias", "running_mean", "running_var")}
    for name, size in arrays.items():
      tensors[f"module.base_model.features.{prefix}{name}"] = wave(f"features.{prefix}{name}", size)

  conv_bn("0.", "0", "1", 32, 3, 3, 3)
  conv_bn("1.conv.", "0", "1", 32, 1, 3, 3)
  conv_bn("1.conv.", "3", "4", 8, 32, 1, 1)
  for block, inside, outside, first in ((2, 8, 8, "0"), (3, 8, 8, "0.net"), (4, 8, 16, "0"), (5, 16, 16, "0.net")):
    conv_bn(f"{block}.conv.", first, "1", 6 * inside, inside, 1, 1)
    conv_bn(f"{block}.conv.", "3", "4", 6 * inside, 1, 3, 3)
    conv_bn(f"{block}.conv.", "6", "7", outside, 6 * inside, 1, 1)
  conv_bn("6.", "0", "1", 1280, 16, 1, 1)
  return tensors | {"module.new_fc.weight": wave("fc.weight", (3, 1280)), "module.new_fc.bias": wave("fc.bias", (3,))}


def test_names_of_the_released_tsm_s_mobilenet(tmp_path):
  tensors = tsm_mobilenet()
  np.savez(tmp_path / "tsm.npz", **tensors)
  network = Recognizer(MobileNetV2(stages=SMALL, inserts=(Insert(TSM(), "before", blocks=(1,), stages=(3, 4)),)), 3)
  variables, report = load_weights(shapes_of(network), tmp_path / "tsm.npz", network=network)
  assert sorted(report.loaded.values()) == sorted(name.removeprefix("module.") for name in tensors)
  assert not report.new
  params = variables["params"]["backbone"]
  for path, name in (
    (("stem", "conv"), "0.0"),
    (("res2", "block0", "conv2"), "1.conv.0"),
    (("res3", "block1", "conv1"), "3.conv.0.net"),
    (("res4", "block1", "conv2"), "5.conv.3"),
    (("res4", "block0", "conv3"), "4.conv.6"),
    (("last", "conv"), "6.0"),
  ):
    kernel = params
    for part in path:
      kernel = kernel[part]
    expected = tensors[f"module.base_model.features.{name}.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel["kernel"], expected)


NETWORKS = {
  "mini": (Recognizer(MiniResNet((8, 8, 8, 8), inserts=(Insert(NonLocal(), "after"),)), 3), 32),
  "resnet18": (Recognizer(ResNet(18, 4), 3), 32),
  "resnet50": (Recognizer(ResNet(50, 8, inserts=(SHIFT, Insert(NonLocal(), "after", (3,), (1, 3)))), 5), 32),
  "x3d": (Recognizer(X3D(0.5, 1.5, shortcut_bn=True), 4, consensus="features", hidden=24), 32),
  "x3d_deeper": (Recognizer(X3D(1.5, 0.5), 6, consensus="features", hidden=8), 32),
  "mobilenet": (Recognizer(MobileNetV2(0.25, stages=(*SMALL, (6, 24, 3, 1))), 9), 32),
  "inception": (Recognizer(InceptionResNetV2(0.125, (1, 2, 3), inside=(Inside(NonLocal(), "block_b/0"),)), 2), 75),
}


def after(*modules: nn.Module) -> Recognizer:
  return Recognizer(MiniResNet((8, 8, 8, 8), inserts=tuple(Insert(module, "after", (3,)) for module in modules)), 3)


RNL_1 = RNL((1, 1, 1))
MLP = {"mbpm": MBPM(kernel=5), "lateral_kernels": (3,), "lateral": "LC-V", "to_quiet": "mlp"}
ONE_NAME = {
  "NonLocal, RNL": after(NonLocal(), RNL_1),
  "RNL, Chain(RNL)": after(RNL_1, Chain((RNL_1,))),
  "Chain(NonLocal, RNL)": after(Chain((NonLocal(), RNL_1))),
  "SpaceTimeSE twice": after(SpaceTimeSE(), Chain((SpaceTimeSE(), RNL_1))),
  "BQN by way of fewer channels": BQN(MiniResNet((8, 8, 8, 8)), 3, **MLP),
}


@pytest.mark.filterwarnings(
  "ignore::vidjax.weights.load.ReleasedSettings"
)  # of an own export, with settings of its own
@pytest.mark.parametrize("name", ONE_NAME)
def test_no_two_modules_are_exported_under_one_name(name):
  """They were: the second overwrote the first, and both came back as the second."""
  network = ONE_NAME[name]
  shapes, variables = shapes_of(network, frames=3), fresh(network, frames=3)
  tensors = torch_tensors(variables)
  assert len(tensors) == len(flatten_dict(variables))
  loaded, _ = load_weights(shapes, tensors, network=network)
  jax.tree.map(np.testing.assert_array_equal, loaded, variables)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_export_comes_back_the_same(name, tmp_path):
  network, size = NETWORKS[name]
  variables = fresh(network, size=size)
  names = set(export(variables, tmp_path / "folder/out.safetensors"))
  loaded, report = load_weights(shapes_of(network, size=size), tmp_path / "folder/out.safetensors", network=network)
  assert len(names) == len(report.loaded) == len(flatten_dict(variables))
  jax.tree.map(np.testing.assert_array_equal, loaded, variables)
  assert all("NonLocal" in name for name in names if "/" in name)


def test_an_export_has_the_names_and_layouts_it_was_loaded_from(shared_golden):
  for file, network in (
    ("x3d_tiny", Recognizer(X3D(1.0, 1.0), 7, consensus="features", hidden=64)),
    ("tsm_r50_w8", Recognizer(ResNet(50, 8, inserts=(SHIFT,)), 7)),
  ):
    tensors = golden_weights(shared_golden / f"{file}.npz")
    again = torch_tensors(load_weights(shapes_of(network), tensors, network=network)[0])
    plain = {re.sub(r"base_model\.|\.net|new_(?=fc)", "", name): x for name, x in tensors.items()}
    assert set(again) == set(plain)
    for name, x in plain.items():
      np.testing.assert_array_equal(again[name], x, err_msg=name)


class TwoStreams(nn.Module):
  """Two recognizers under one roof, with a parameter of its own."""

  spatial: nn.Module
  temporal: nn.Module

  @nn.compact
  def __call__(self, clips, train):
    weight = self.param("weight", nn.initializers.ones, (2,))
    return weight[0] * self.spatial(clips, train).logits + weight[1] * self.temporal(clips, train).logits


def test_one_checkpoint_fills_both_pathways_and_their_heads():
  network = BQN(X3D(0.5, 0.5), 3, lateral_kernels=(3,), hidden=8, consensus="features", shared_classifier=False)
  single = torch_tensors(fresh(Recognizer(X3D(0.5, 0.5), 3, consensus="features", hidden=8), size=64))
  loaded, report = load_weights(fresh(network, size=64, frames=6), single, network=network)
  params = loaded["params"]
  for name in ("hidden", "classifier"):
    jax.tree.map(np.testing.assert_array_equal, params[f"{name}_busy"], params[f"{name}_quiet"])
    assert f"params/{name}_busy/kernel" in report.loaded
  assert not report.unused


def test_a_prefix_in_place_of_a_tuple_is_named():
  variables = shapes_of(Recognizer(MiniResNet((4, 4, 4, 4)), 3))
  for key in ("new", "unused"):
    with pytest.raises(ConfigError, match=rf"{key}='fc'.*a tuple of prefixes, such as \('classifier',\)"):
      load_weights(variables, {}, network=Recognizer(MiniResNet((4, 4, 4, 4)), 3), **{key: "fc"})


def test_parts_with_backbones_of_their_own(tmp_path):
  """Exported part by part; and one image checkpoint fills them all."""
  network = TwoStreams(Recognizer(MiniResNet((4, 4, 4, 4)), 3), Recognizer(MiniResNet((4, 4, 4, 4)), 3))
  variables = fresh(network)
  tensors = export(variables, tmp_path / "a.safetensors")
  assert {"params/weight", "spatial.conv1.weight", "temporal.fc.bias"} <= set(tensors)
  loaded, _ = load_weights(shapes_of(network), load_file(tmp_path / "a.safetensors"), network=network)
  jax.tree.map(np.testing.assert_array_equal, loaded, variables)
  single = torch_tensors(fresh(Recognizer(MiniResNet((4, 4, 4, 4)), 3)))
  loaded, report = load_weights(variables, single, network=network, new=("weight",))
  jax.tree.map(np.testing.assert_array_equal, loaded["params"]["spatial"], loaded["params"]["temporal"])
  assert report.new == ["params/weight"]


VGG_16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Where torchvision's VGG-16 has its convolutions."""


def vgg_16(width: int) -> dict[str, np.ndarray]:
  widths = [width * n for n in (1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8)]
  shapes = {f"features.{i}.bias": (n,) for i, n in zip(VGG_16, widths, strict=True)}
  kernels = zip(VGG_16, widths, [3, *widths], strict=False)
  return filled({**shapes, **{f"features.{i}.weight": (n, before, 3, 3) for i, n, before in kernels}})


def test_names_of_vgg_16():
  """One stream, and both of the dual-stream network, whose flow gets the mean over the colours."""
  tensors = vgg_16(4)
  made = Recognizer(VGG(4, None), 3)
  variables, report = load_weights(fresh(made), tensors, network=made, new=("classifier",))
  assert sorted(report.loaded.values()) == sorted(tensors)
  kernel = variables["params"]["backbone"]["stage4"]["block0"]["conv"]["kernel"]
  np.testing.assert_array_equal(kernel, tensors["features.17.weight"].transpose(2, 3, 1, 0))
  made = RTSAEDSCNN(3, Measured(stream=VGG(4, 8), length=4))
  new = ("classifier", "fusion", "lstm", "rtsae", "streams/measurement")
  new += ("streams/s_net/last_conv", "streams/t_net/last_conv")
  variables, report = load_weights(fresh(made, channels=5), tensors, network=made, new=new)
  assert list(report.adapted.values()) == ["3 to 2 input channels (each the mean)"]
  streams = variables["params"]["streams"]
  for name in ("s_net", "t_net"):
    kernel = streams[name]["stage5"]["block2"]["conv"]["kernel"]
    np.testing.assert_array_equal(kernel, tensors["features.28.weight"].transpose(2, 3, 1, 0))


def released_tdn(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Under the names of the released code, written down from its modules, and with its biases of 1."""
  released = {}
  for name, x in tensors.items():
    name = re.sub(r"^(?!new_fc)", "base_model.", name)
    released[name] = x
    if re.search(r"(?:\.conv\d|conv1_5\.0|downsample\.0)\.weight$", name) and "mse" not in name:
      released[name.replace("weight", "bias")] = np.ones(len(x), np.float32)
  return {**released, "base_model.conv1_temp.weight": np.ones((8, 3, 7, 7)), "base_model.conv1_temp.bias": np.ones(8)}


def test_names_of_the_released_tdn():
  made = Recognizer(TDN(ResNet(50, 16), 3, reduction=4), 3)
  variables = fresh(made, frames=3)
  tensors = released_tdn(torch_tensors(variables))
  assert {
    "base_model.conv1.bias",
    "base_model.conv1_5.1.running_var",
    "base_model.resnext_layer1.0.downsample.0.bias",
    "base_model.layer1_bak.2.conv3.weight",
    "base_model.layer2_bak.0.mse.conv3_smallscale2.weight",
    "base_model.layer4_bak.2.mse.bn3_smallscale4.running_mean",
    "new_fc.bias",
  } <= set(tensors)
  assert tensors["base_model.layer3_bak.5.shift.conv.weight"].shape == (64, 1, 3)
  loaded, report = load_weights(shapes_of(made, frames=3), tensors, network=made)
  assert {why for why in report.unused.values()} == {"TDN's copy of the convolution its differences started from"}
  means = 0
  for path, x in flatten_dict(variables, sep="/").items():
    y = flatten_dict(loaded, sep="/")[path]
    folded = path in report.adapted
    means += folded
    np.testing.assert_array_equal(y, x - folded)
    assert not folded or path.endswith("/mean")
  assert means == 2 + 2 * (3 * 3 + 1) + (13 * 3 + 3), "both stems, both res2, the blocks of res3 to res5"
