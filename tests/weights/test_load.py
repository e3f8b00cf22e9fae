import ast
import re

import flax.linen as nn
import ml_dtypes
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

from tests.weights.released import RESNET18, filled, fresh, mini, resnet, shapes_of
from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.mbpm import MBPM
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.ttsn import TTSN
from vidjax.plugins.insert import Insert, Inside
from vidjax.plugins.tsm import TSM
from vidjax.weights.export import torch_tensors
from vidjax.weights.load import ReleasedSettings, load_weights


def flat(variables):
  return flatten_dict(variables, sep="/")


class Gain(nn.Module):
  """A plug-in with a parameter and statistics."""

  @nn.compact
  def __call__(self, x, train):
    return nn.BatchNorm(use_running_average=True, name="bn")(x)


class Gap(nn.Module):
  @nn.compact
  def __call__(self, x, train):
    return nn.Dense(x.shape[-1], name="dense")(x)


@pytest.mark.parametrize(
  ("depth", "blocks", "width", "classes"),
  [(18, RESNET18, 12, 2), (34, (3, 4, 6, 3), 4, 7), (50, (3, 4, 6, 3), 6, 9), (101, (3, 4, 23, 3), 4, 5)],
)
def test_resnets_of_any_depth_width_and_number_of_classes(depth, blocks, width, classes):
  tensors = filled(resnet(blocks, width, depth > 34, classes))
  variables, report = load_weights(
    shapes_of(Recognizer(ResNet(depth, width), classes)), tensors, network=Recognizer(ResNet(depth, width), classes)
  )
  counts = [name for name in tensors if name.endswith("num_batches_tracked")]
  assert list(report.unused) == counts
  assert not report.new
  assert not report.adapted
  assert sorted(report.loaded.values()) == sorted(set(tensors) - set(counts))
  loaded = flat(variables)
  for path, name in (
    ("params/backbone/stem/conv/kernel", "conv1.weight"),
    ("params/backbone/res3/block0/shortcut_conv/kernel", "layer2.0.downsample.0.weight"),
    ("params/backbone/res5/block1/conv2/kernel", "layer4.1.conv2.weight"),
  ):
    np.testing.assert_array_equal(loaded[path], tensors[name].transpose(2, 3, 1, 0))
  np.testing.assert_array_equal(loaded["params/classifier/kernel"], tensors["fc.weight"].T)
  for leaf, name in {"params/{}/scale": "weight", "params/{}/bias": "bias"}.items():
    path = leaf.format("backbone/res4/block1/bn2")
    np.testing.assert_array_equal(loaded[path], tensors[f"layer3.1.bn2.{name}"])
  for leaf, name in (("mean", "running_mean"), ("var", "running_var")):
    path = f"batch_stats/backbone/res4/block0/shortcut_bn/{leaf}"
    np.testing.assert_array_equal(loaded[path], tensors[f"layer3.0.downsample.1.{name}"])


def wrapped(name: str) -> str:
  """As TSN's class and TSM's wrapper around every block's first convolution have it."""
  if name.startswith("fc"):
    return f"new_{name}"
  name = name.replace(".conv1.", ".conv1.net.")
  return f"base_model.{name}"


def test_names_of_the_released_tsm_give_the_same(tmp_path):
  tensors = filled(resnet(RESNET18, 4, False))
  network = Recognizer(ResNet(18, 4, inserts=(Insert(TSM(2), "before"),)), 7)
  shapes = shapes_of(network)
  plain, _ = load_weights(shapes, tensors, network=network)
  np.savez(tmp_path / "tsm.npz", **{f"module.{wrapped(name)}": x for name, x in tensors.items()})
  for again in (tmp_path / "tsm.npz", {wrapped(name): x for name, x in tensors.items()}):
    with pytest.warns(ReleasedSettings, match=r"TSM's has TSM\(fold_div=8\), this network 2$"):
      variables, report = load_weights(shapes, again, network=network)
    assert len(report.loaded) == len(flat(shapes))
    for path, x in flat(plain).items():
      np.testing.assert_array_equal(flat(variables)[path], x)


def test_halves_and_bfloat16_become_what_the_network_has(tmp_path):
  network = Recognizer(MiniResNet((4, 4, 4, 4)), 3)
  tensors, report = load_weights(shapes_of(network), filled(mini()), network=network)
  for dtype in (np.float16, ml_dtypes.bfloat16, np.float64):
    cast = {name: x.astype(dtype) if x.dtype.kind == "f" else x for name, x in filled(mini()).items()}
    save_file(cast, tmp_path / "cast.safetensors")
    variables, again = load_weights(shapes_of(network), tmp_path / "cast.safetensors", network=network)
    assert again == report
    for path, x in flat(variables).items():
      assert x.dtype == np.float32
      np.testing.assert_allclose(x, flat(tensors)[path], rtol=2**-8)
  with pytest.raises(InputError, match=r"conv1.weight: holds int8, wanted float32: convert"):
    load_weights(shapes_of(network), {name: x.astype(np.int8) for name, x in filled(mini()).items()}, network=network)


@pytest.mark.parametrize(("here", "there"), [(10, 3), (2, 3), (3, 10), (1, 3)])
def test_the_first_convolution_takes_the_mean_over_input_channels(here, there):
  tensors = filled(mini(channels=there))
  shapes = shapes_of(Recognizer(MiniResNet((4, 4, 4, 4)), 3), channels=here)
  variables, report = load_weights(shapes, tensors, network=Recognizer(MiniResNet((4, 4, 4, 4)), 3))
  mean = tensors["conv1.weight"].mean(1).transpose(1, 2, 0)
  kernel = variables["params"]["backbone"]["stem"]["conv"]["kernel"]
  assert kernel.shape == (5, 5, here, 4)
  np.testing.assert_allclose(kernel, np.repeat(mean[:, :, None], here, 2), rtol=1e-6)
  assert report.adapted == {"params/backbone/stem/conv/kernel": f"{there} to {here} input channels (each the mean)"}


class Video(nn.Module):
  """A stem over three frames, in a network with one class for each channel."""

  @nn.compact
  def __call__(self, x, train):
    return nn.Conv(4, (3, 5, 5), use_bias=False, name="conv")(x)


class Inflated(nn.Module):
  @nn.compact
  def __call__(self, x, train):
    return Video(name="stem")(x, train)


@pytest.mark.parametrize("inflation", ["mean", "centre"])
def test_2d_kernels_inflate(inflation):
  """A clip of equal frames gives what the image gave, in the middle."""
  weight = filled({"conv1.weight": (4, 3, 5, 5)})
  network = Inflated()
  variables, report = load_weights(shapes_of(network), weight, network=network, inflation=inflation)
  kernel, flat_kernel = variables["params"]["stem"]["conv"]["kernel"], weight["conv1.weight"].transpose(2, 3, 1, 0)
  assert kernel.shape == (3, 5, 5, 3, 4)
  np.testing.assert_allclose(kernel.sum(0), flat_kernel, rtol=1e-6)
  np.testing.assert_allclose(kernel[0], 0 if inflation == "centre" else flat_kernel / 3, rtol=1e-6)
  assert report.adapted == {"params/stem/conv/kernel": f"2D to 3 frames ({inflation})"}
  with pytest.raises(ConfigError, match=r"inflation='repeat'.*must be one of mean, centre"):
    load_weights(shapes_of(network), weight, network=network, inflation="repeat")


def test_imagenet_loads_into_any_network_with_inserts():
  """Plug-ins keep their fresh values without being listed; the report does list them."""
  inserts = (Insert(TSM(2), "before"), Insert(Gain(), "residual"), Insert(Gain(), "after", stages=(3,)))
  network = Recognizer(MiniResNet((4, 4, 4, 4), inserts=inserts, inside=(Inside(Gap(), "stem"),)), 5)
  before, tensors = fresh(network), filled(mini(classes=1000))
  variables, report = load_weights(before, tensors, network=network, new=("classifier",))
  places = {path.partition("/")[2].rpartition("/")[0] for path in report.new}
  assert places == {
    "classifier",
    "backbone/after_stem_Gap/dense",
    "backbone/res3/block0/after_Gain/bn",
    *(f"backbone/res{i}/block0/residual_Gain/bn" for i in (2, 3, 4)),
  }
  for path in report.new:
    np.testing.assert_array_equal(flat(variables)[path], flat(before)[path])
  assert set(report.new).isdisjoint(report.loaded)
  assert set(report.new) | set(report.loaded) == set(flat(before))
  assert report.unused["fc.weight"] == "classifier/kernel stays new"
  lines = str(report).splitlines()
  assert lines[0].startswith(f"loaded {len(report.loaded)} arrays, 0 of them adapted; {len(report.new)} start anew (")
  assert "(classifier, " in lines[0] or ", classifier" in lines[0]
  assert lines[0].endswith(f"; {len(report.unused)} of the checkpoint's tensors are unused")
  assert "  new params/classifier/bias" in lines
  assert "  unused, classifier/bias stays new: fc.bias" in lines
  assert any(line.startswith("  unused, PyTorch's count of batches: bn1.num_batches_tracked, ") for line in lines)


def test_a_plug_in_the_checkpoint_has_must_be_there_at_every_site():
  network = Recognizer(MiniResNet((4, 4, 4, 4), inserts=(Insert(Gain(), "after"),)), 3)
  everything = flat(fresh(network))
  assert len(load_weights(shapes_of(network), everything, network=network)[1].loaded) == len(everything)
  lost = {path: x for path, x in everything.items() if "res3/block0/after_Gain" not in path}
  with pytest.raises(
    InputError, match=r"backbone/res3/block0/after_Gain/bn/scale \(4,\) finds no params/backbone/res3"
  ):
    load_weights(shapes_of(network), lost, network=network)


def test_new_is_taken_by_whole_names_and_must_exist():
  network = Recognizer(MiniResNet((4, 4, 4, 4)), 3)
  before = fresh(network)
  _, report = load_weights(before, filled(mini()), network=network, new=("backbone/res3", "classifier/bias"))
  assert {path.partition("/")[2].split("/")[1] for path in report.new} == {"res3", "bias"}
  for prefix in ("backbone/res", "head"):
    with pytest.raises(InputError, match=f"`new` names {prefix}, but no .*; they start with backbone, classifier"):
      load_weights(before, filled(mini()), network=network, new=(prefix, "classifier"))


def test_what_is_left_over_must_be_allowed():
  network = Recognizer(MiniResNet((4, 4, 4, 4)), 3)
  shapes, tensors = shapes_of(network), filled(mini())
  more = {**tensors, "aux.fc.weight": np.ones((3, 3)), "auxiliary": np.ones(1)}
  with pytest.raises(InputError, match=r"aux.fc.weight \(3, 3\) has no place in the network; auxiliary \(1,\) has no"):
    load_weights(shapes, more, network=network)
  with pytest.raises(InputError, match=r"network: auxiliary \(1,\) has no place in the network\."):
    load_weights(shapes, more, network=network, unused=("aux",))
  _, report = load_weights(shapes, more, network=network, unused=("aux", "auxiliary"))
  assert report.unused["aux.fc.weight"] == report.unused["auxiliary"] == "may be left over"
  with pytest.raises(InputError, match=r"`unused` names au, but no tensor starts so; they start with aux, auxiliary,"):
    load_weights(shapes, more, network=network, unused=("aux", "auxiliary", "au"))


def test_what_to_leave_over_is_named_by_its_blocks():
  network = Recognizer(ResNet(18, 4), 3)
  shapes, tensors = shapes_of(network), filled(resnet((2, 2, 4, 2), 4, False, 3))
  with pytest.raises(InputError) as caught:
    load_weights(shapes, tensors, network=network)
  new, unused = map(ast.literal_eval, re.search(r"new=(\(.*?\)), unused=(\(.*?\))$", str(caught.value)).groups())
  assert (new, unused) == ((), ("layer3.2", "layer3.3"))
  _, report = load_weights(shapes, tensors, network=network, unused=unused)
  assert not report.new


def test_a_checkpoint_of_which_no_kernel_fits_offers_nothing():
  tensors = filled(resnet(RESNET18, 4, False, 3))
  with pytest.raises(
    InputError, match=r"is not supported by this network: 1 arrays fit and 101 do not, as .*docs/guide.md, Weights\)$"
  ):
    load_weights(
      shapes_of(Recognizer(ResNet(18, 8), 3)), tensors, network=Recognizer(ResNet(18, 8), 3)
    )  # the classifier's bias does
  network = Recognizer(ResNet(18, 4), 3)
  with pytest.raises(InputError, match=r"nothing is left to load: leave out init, or name fewer"):
    load_weights(fresh(network), tensors, network=network, new=("backbone", "classifier"))


@pytest.mark.parametrize("prefix", ["module.", "model.", "module._orig_mod.", "_orig_mod.module.", "model._orig_mod."])
def test_wrappers_are_taken_off_tensors_in_memory_too(prefix):
  tensors = filled(mini())
  shapes = shapes_of(Recognizer(MiniResNet((4, 4, 4, 4)), 3))
  plain, _ = load_weights(shapes, tensors, network=Recognizer(MiniResNet((4, 4, 4, 4)), 3))
  found, _ = load_weights(
    shapes, {f"{prefix}{name}": x for name, x in tensors.items()}, network=Recognizer(MiniResNet((4, 4, 4, 4)), 3)
  )
  for path, x in flat(found).items():
    np.testing.assert_array_equal(x, flat(plain)[path])


def test_a_part_named_model_is_no_wrapper():
  class Pair(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      return [MiniResNet((4, 4, 4, 4), name=name)(x, train) for name in "ab"]

  class Holder(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      return Pair(name="model")(x, train)

  variables = fresh(Holder())
  tensors = torch_tensors(variables)
  assert all(name.startswith("model.") for name in tensors)
  back, _ = load_weights(variables, tensors, network=Holder())
  for path, x in flat(back).items():
    np.testing.assert_array_equal(x, flat(variables)[path])


def test_a_head_that_does_not_fit_beside_a_new_backbone_gets_a_remedy():
  tensors = filled(resnet(RESNET18, 4, False, 3))
  variables = fresh(Recognizer(ResNet(18, 4), 5))
  with pytest.raises(InputError, match=r"or accept that, .* with new=\('backbone', 'classifier'\)"):
    load_weights(variables, tensors, network=Recognizer(ResNet(18, 4), 5), new=("backbone",))
  with pytest.raises(InputError, match="the checkpoint holds a tensor under 0, which is no name"):
    load_weights(variables, {0: np.ones(3)}, network=Recognizer(ResNet(18, 4), 5))


def test_parts_of_an_own_export_are_not_offered_to_be_left_out():
  variables = fresh(Recognizer(MiniResNet((4, 4, 4, 4), inserts=(Insert(Gap(), "after", stages=(2,)),)), 3))
  plain = shapes_of(Recognizer(MiniResNet((4, 4, 4, 4)), 3))
  with pytest.raises(InputError, match=r"after_Gap/dense/bias .* has no place .* Take the network it was made for$"):
    load_weights(plain, torch_tensors(variables), network=Recognizer(MiniResNet((4, 4, 4, 4)), 3))


def test_other_kinds_of_variables_pass_and_are_not_exported():
  network = Recognizer(MiniResNet((4, 4, 4, 4)), 3)
  shapes, aux = shapes_of(network), {"aux": {"representation": {"error": (np.ones(1),)}}}
  variables, report = load_weights({**shapes, **aux}, filled(mini()), network=network)
  assert variables["aux"] is aux["aux"]
  assert not report.new
  back, _ = load_weights({**shapes, **aux}, torch_tensors(variables), network=network)
  assert flat(back).keys() == flat(variables).keys()


def test_what_ttsn_adds_stays_new():
  tensors = filled(resnet(RESNET18, 4, False, 3))
  _, report = load_weights(
    fresh(TTSN(ResNet(18, 4), 3, tss_width=8)), tensors, network=TTSN(ResNet(18, 4), 3, tss_width=8)
  )
  assert {path.split("/")[1] for path in report.new} == {"ett", "reversal_head"}


def test_an_input_in_front_stays_new_without_a_word():
  """ImageNet's checkpoint loads into a network with an input representation, as it does with inserts."""
  plain = fresh(Recognizer(MiniResNet((8, 8, 8, 8)), 3))
  network = Recognizer(MiniResNet((8, 8, 8, 8)), 3, MBPM(kernel=3))
  _, report = load_weights(fresh(network, frames=3), torch_tensors(plain), network=network)
  assert [*report.new] == ["params/representation/spatial/kernel", "params/representation/temporal/kernel"]


def test_a_bias_before_batch_normalisation_joins_the_mean():
  made = Recognizer(MiniResNet((4, 4, 4, 4)), 3)
  tensors = {**filled(mini()), "layer2.0.conv1.bias": np.arange(4.0), "conv1.bias": np.ones(4)}
  variables, report = load_weights(shapes_of(made), tensors, network=made)
  stats = variables["batch_stats"]["backbone"]
  expected = tensors["layer2.0.bn1.running_mean"] - np.arange(4)
  np.testing.assert_allclose(stats["res3"]["block0"]["bn1"]["mean"], expected, rtol=1e-6)
  np.testing.assert_allclose(stats["stem"]["bn"]["mean"], tensors["bn1.running_mean"] - 1, rtol=1e-6)
  assert report.adapted["batch_stats/backbone/stem/bn/mean"] == "less conv1.bias, a bias before batch normalisation"
