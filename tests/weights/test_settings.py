"""What checkpoints tell of settings without parameters, and which networks are told not to be supported."""

import json
import warnings

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.weights.released import SHIFT, filled, fresh, resnet, shapes_of
from vidjax.backbones.resnet import ResNet
from vidjax.backbones.tdn import TDN
from vidjax.backbones.vgg import VGG
from vidjax.backbones.x3d import X3D
from vidjax.errors import InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.nonlocal_ import NonLocal
from vidjax.plugins.rnl import RNL
from vidjax.plugins.se import SE
from vidjax.plugins.tsm import TSM, released_shift
from vidjax.weights.export import export, torch_tensors
from vidjax.weights.load import ReleasedSettings, load_weights
from vidjax.weights.read import read_tensors

RESNET18 = (2, 2, 2, 2)
PLAIN = Recognizer(ResNet(18, 8), 7)
SHIFTED = Recognizer(ResNet(18, 8, inserts=(SHIFT,)), 7)
EVERY_SECOND = Recognizer(ResNet(18, 8, inserts=(Insert(TSM(), "before", blocks="even"),)), 7)


def tsm(blocks=(0, 1)) -> dict[str, np.ndarray]:
  """A released TSM that shifts these blocks of every stage."""
  names = {f"layer{stage}.{block}.conv1." for stage in range(1, 5) for block in blocks}
  return {
    f"base_model.{name.replace('conv1.', 'conv1.net.') if name[:15] in names else name}": x
    for name, x in filled(resnet(RESNET18, 8, False)).items()
    if not name.startswith("fc")
  } | {f"new_{name}": x for name, x in filled(resnet(RESNET18, 8, False)).items() if name.startswith("fc")}


def load(network, tensors, **options):
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    return load_weights(shapes_of(network), tensors, network=network, **options)[1]


def test_a_shift_that_names_tell_must_be_there():
  assert not load(SHIFTED, tsm()).new
  with pytest.raises(InputError, match=r"lies behind TSM's temporal shift, as 8 of 8 blocks do.*shifts no block"):
    load(PLAIN, tsm())
  assert not load(EVERY_SECOND, tsm((0,))).new
  with pytest.raises(InputError, match=r"as 4 of 8 blocks do, and this network shifts all blocks.*blocks='even'\)"):
    load(SHIFTED, tsm((0,)))
  with pytest.raises(InputError, match=r"without the temporal shift, and this network shifts 8 blocks"):
    load(SHIFTED, tsm(()))


def test_the_released_shift_of_resnet_101_is_in_every_second_block():
  assert released_shift(50).blocks == "all"
  chosen = [block for block in range(23) if released_shift(101).chosen(4, block, 23)]
  assert chosen == list(range(0, 23, 2))


def test_image_checkpoints_may_be_given_a_shift():
  assert not load(SHIFTED, filled(resnet(RESNET18, 8, False))).new


@pytest.mark.parametrize("pooled", [False, True])
def test_sub_sampled_keys_are_told_by_their_names(pooled):
  def network(sub_sample: bool):
    return Recognizer(ResNet(18, 8, inserts=(Insert(NonLocal(sub_sample=sub_sample), "after", (3,), (1,)),)), 3)

  tensors = {f"base_model.{name}": x for name, x in torch_tensors(fresh(network(pooled))).items()}
  step = ".nl.{}.0." if pooled else ".nl.{}."
  for part in ("g", "phi"):
    tensors = {name.replace(f".nl.{part}.", step.format(part)): x for name, x in tensors.items()}
  assert not load(network(pooled), tensors).new
  with pytest.raises(
    InputError, match=rf"keys are {'' if pooled else 'not '}pooled: take NonLocal\(sub_sample={pooled}\)"
  ):
    load(network(not pooled), tensors)


@pytest.mark.parametrize(
  ("module", "words"),
  [
    (RNL((1, 1, 1), form="dot"), r"RNL's has RNL\(form='gaussian'\), this network 'dot'"),
    (TSM(4), r"fold_div=8\), this network 4"),
  ],
)
def test_settings_of_plug_ins_are_compared(module, words):
  inserts = (Insert(module, "after", (3,), (1,)),) if isinstance(module, RNL) else (Insert(module, "before"),)
  network = Recognizer(ResNet(18, 8, inserts=inserts), 7)
  tensors = tsm() if isinstance(module, TSM) else torch_tensors(fresh(network))
  with pytest.warns(ReleasedSettings, match=words):
    load_weights(shapes_of(network), tensors, network=network)


def test_what_names_cannot_tell_is_compared_with_the_released_code():
  network = Recognizer(X3D(0.5, 0.5), 4, consensus="logits", hidden=8)
  tensors = torch_tensors(fresh(network))
  with pytest.warns(ReleasedSettings, match=r"X3D's has Recognizer\(consensus='features'\), this network 'logits'"):
    _, report = load_weights(shapes_of(network), tensors, network=network)
  assert "settings: X3D's has" in str(report)
  assert not load(Recognizer(X3D(0.5, 0.5), 4, consensus="features", hidden=8), tensors).settings


@pytest.mark.parametrize("name", ["resnetblur18.pth", "timm_resnetaa50d"])
def test_twins_of_resnet_are_known_by_their_file_or_metadata(tmp_path, name):
  path = tmp_path / f"{name}.npz"
  np.savez(path, **filled(resnet(RESNET18, 8, False)))
  with pytest.raises(InputError, match=r"is not supported: by its name or metadata it is timm's resnet(blur18|aa50)"):
    load(PLAIN, path)
  (tmp_path / "resnetblur50_study").mkdir()
  path = path.rename(tmp_path / "resnetblur50_study" / "model.npz")
  assert not load(PLAIN, path).new
  path.with_name("config.json").write_text(json.dumps({"architecture": name}))
  with pytest.raises(InputError, match="is not supported"):
    load(PLAIN, path)


def test_an_own_export_has_settings_of_its_own(tmp_path):
  """X3D with a head as no released one has, exported and read back: nothing to warn of."""
  network = Recognizer(X3D(0.5, 0.5), 4, consensus="logits", hidden=8)
  export(fresh(network), tmp_path / "own.safetensors")
  assert not load(network, tmp_path / "own.safetensors").settings


def test_a_twin_is_known_by_what_the_file_itself_says(tmp_path):
  save_file(filled(resnet(RESNET18, 8, False)), tmp_path / "a.safetensors", metadata={"architecture": "resnetblur18"})
  with pytest.raises(InputError, match=r"a\.safetensors is not supported: by its name or metadata .* resnetblur18"):
    load(PLAIN, tmp_path / "a.safetensors")


def deep_stem(shapes):
  shapes = {name.replace("downsample.", "downsample.1."): shape for name, shape in shapes.items()}
  return {name.replace("bn2", "bn2.act"): shape for name, shape in shapes.items()}


def grouped(shapes):
  return {name: (2 * shape[0], *shape[1:]) if "conv2" in name else shape for name, shape in shapes.items()}


def another_family(shapes):
  return {f"blocks.{name}": shape for name, shape in shapes.items()}


@pytest.mark.parametrize("change", [deep_stem, grouped, another_family])
def test_networks_that_are_not_supported_cost_a_line(change):
  with pytest.raises(InputError) as caught:
    load(Recognizer(ResNet(50, 8), 7), filled(change(resnet((3, 4, 6, 3), 8, True))))
  assert "unused=" not in str(caught.value)
  assert len(str(caught.value)) < 900


def test_a_prefix_of_most_names_is_taken_off():
  tensors = {f"module.{name}": x for name, x in filled(resnet(RESNET18, 8, False)).items()}
  tensors["fc.bias"] = tensors.pop("module.fc.bias")
  assert not load(PLAIN, tensors).new
  with pytest.raises(InputError, match=r"holds both fc.bias and module.fc.bias: keep one"):
    load(PLAIN, {**tensors, "module.fc.bias": tensors["fc.bias"]})


def test_a_sharded_checkpoint_is_read_by_its_index(tmp_path):
  tensors = filled(resnet(RESNET18, 8, False))
  names = sorted(tensors)
  parts = {"model-00001-of-00002.safetensors": names[:50], "model-00002-of-00002.safetensors": names[50:]}
  for file, own in parts.items():
    save_file({name: tensors[name] for name in own}, tmp_path / file)
  places = {name: file for file, own in parts.items() for name in own}
  (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
  for source in (tmp_path, tmp_path / "model.safetensors.index.json"):
    found = read_tensors(source)
    assert found.keys() == tensors.keys()
    assert not load(PLAIN, source).new
  (tmp_path / "model-00002-of-00002.safetensors").unlink()
  with pytest.raises(InputError, match=r"names model-00002-of-00002.safetensors, which is not beside it"):
    read_tensors(tmp_path)


def test_names_of_se_resnet():
  inserts = (Insert(SE(16), "residual"),)
  shapes = resnet((3, 4, 6, 3), 8, True)
  widths = {name.removesuffix(".conv3.weight"): x[0] for name, x in shapes.items() if name.endswith(".conv3.weight")}
  for block, width in widths.items():
    hidden = width // 16
    shapes |= {f"{block}.se.fc1.weight": (hidden, width, 1, 1), f"{block}.se.fc1.bias": (hidden,)}
    shapes |= {f"{block}.se.fc2.weight": (width, hidden, 1, 1), f"{block}.se.fc2.bias": (width,)}
  assert not load(Recognizer(ResNet(50, 8, inserts=inserts), 7), filled(shapes)).new
  with pytest.raises(InputError, match=r"se.fc1.weight .* has no place .*Insert\(SE\(16\), 'residual'\)"):
    load(Recognizer(ResNet(50, 8), 7), filled(shapes))


def test_names_of_vgg():
  """torchvision's VGG-16: convolutions at 0, 2, 5, 7, 10, ... of `features`."""
  places, before, shapes = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), 3, {}
  for place, width in zip(places, (4, 4, 8, 8, 16, 16, 16, *6 * (32,)), strict=True):
    shapes |= {f"features.{place}.weight": (width, before, 3, 3), f"features.{place}.bias": (width,)}
    before = width
  tensors = filled(shapes) | {"classifier.0.weight": np.ones((2, 2), np.float32)}
  network = Recognizer(VGG(4, None), 5)
  _, report = load_weights(fresh(network), tensors, network=network, new=("classifier",), unused=("classifier",))
  assert sorted(report.loaded.values()) == sorted(shapes)


def test_names_of_the_released_tdn():
  network = Recognizer(TDN(ResNet(18, 8)), 5)
  variables = fresh(network, frames=5)
  tensors = torch_tensors(variables)
  for name in (
    *("conv1.weight", "conv1_5.0.weight", "conv1_5.1.running_mean", "resnext_layer1.0.conv1.weight"),
    *("layer1_bak.0.conv1.weight", "layer2_bak.0.mse.conv1.weight", "layer3_bak.1.shift.conv.weight"),
    *("layer4_bak.1.mse.conv3_smallscale4.weight", "new_fc.weight"),
  ):
    assert name in tensors
  tensors = {name if name.startswith("new_fc") else f"base_model.{name}": x for name, x in tensors.items()}
  tensors["base_model.conv1_temp.weight"] = tensors["base_model.conv1.weight"]
  loaded, report = load_weights(shapes_of(network, frames=5), tensors, network=network)
  assert report.unused == {"base_model.conv1_temp.weight": "TDN's copy of the convolution its differences started from"}
  jax.tree.map(np.testing.assert_array_equal, loaded, variables)
