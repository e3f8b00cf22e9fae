"""State dicts as PyTorch's libraries name and lay them out: by hand-written patterns, and from the golden files."""

import json
import pathlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.backbones.resnet import ResNet
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.weights.export import torch_tensors
from vidjax.weights.load import load_weights

SHIFT = Insert(TSM(), "before")
RESNET18 = (2, 2, 2, 2)
BN = ("weight", "bias", "running_mean", "running_var")


def batch_norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
  return {f"{name}.{leaf}": (width,) for leaf in BN} | {f"{name}.num_batches_tracked": ()}


def resnet(blocks: tuple[int, ...], width: int, bottleneck: bool, classes: int = 7, channels: int = 3) -> dict:
  """Shapes of torchvision's ResNet by name."""
  shapes = {"conv1.weight": (width, channels, 7, 7), **batch_norm("bn1", width)}
  before = width
  for stage, count in enumerate(blocks):
    inner = width * 2**stage
    out = 4 * inner if bottleneck else inner
    for block in range(count):
      name = f"layer{stage + 1}.{block}"
      kernels = [(inner, before, 1, 1), (inner, inner, 3, 3), (out, inner, 1, 1)]
      if not bottleneck:
        kernels = [(inner, before, 3, 3), (inner, inner, 3, 3)]
      for i, kernel in enumerate(kernels, start=1):
        shapes |= {f"{name}.conv{i}.weight": kernel, **batch_norm(f"{name}.bn{i}", kernel[0])}
      if block == 0 and (before != out or stage > 0):
        shapes |= {f"{name}.downsample.0.weight": (out, before, 1, 1), **batch_norm(f"{name}.downsample.1", out)}
      before = out
  return shapes | {"fc.weight": (classes, before), "fc.bias": (classes,)}


def mini(classes: int = 3, channels: int = 3):
  """Shapes of MiniResNet((4, 4, 4, 4)), whose stem has a 5x5 kernel, as torchvision would name them."""
  shapes = {"conv1.weight": (4, channels, 5, 5), "fc.weight": (classes, 4), "fc.bias": (classes,)}
  whole = resnet((1, 1, 1), 4, False)
  return {**{name: tuple(min(4, n) for n in x) for name, x in whole.items()}, **shapes}


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
  """Random arrays of these shapes; counts of batches are integers."""
  rng = np.random.default_rng(0)
  tensors = {name: rng.uniform(0.5, 1.5, shape).astype(np.float32) for name, shape in shapes.items()}
  return {name: np.array(3) if name.endswith("num_batches_tracked") else x for name, x in tensors.items()}


def shapes_of(network, size: int = 32, channels: int = 3, frames: int = 2):
  """Shapes of a network's variables."""
  clip = jnp.zeros((1, frames, size, size, channels))
  return jax.eval_shape(lambda: network.init(jax.random.key(0), clip, False))


def fresh(network, **arguments):
  """Variables that differ from one another, without the time `init` takes."""
  count: Iterator[int] = iter(range(10**6))
  shapes = shapes_of(network, **arguments)
  return jax.tree.map(lambda x: np.full(x.shape, 2.0 + next(count), x.dtype), shapes)


def golden_weights(path: pathlib.Path, prefix: str = "w/") -> dict[str, np.ndarray]:
  golden = np.load(path)
  return {key.removeprefix(prefix): golden[key] for key in golden if key.startswith(prefix)}


def param_group_shapes(path: pathlib.Path, model: str) -> dict[str, tuple[int, ...]]:
  """Names and shapes of the parameters and of the running statistics beside every BN."""
  groups = json.loads(path.read_text())[model].values()
  shapes = {x["name"]: tuple(x["shape"]) for group in groups if isinstance(group, dict) for x in group["params"]}
  for name, shape in list(shapes.items()):
    if name.endswith("weight") and len(shape) == 1:
      shapes |= {name.replace("weight", leaf): shape for leaf in BN}
  return shapes


def check_golden_block(path: pathlib.Path, variant: str, module) -> None:
  """The plug-in after a block of 16 channels, filled by the name it has in a whole network."""
  golden = np.load(path)
  network = Recognizer(ResNet(18, 8, inserts=(Insert(module, "after", (3,), (1,)),)), 3)
  plain = {f"base_model.{name}": x for name, x in torch_tensors(fresh(Recognizer(ResNet(18, 8), 3))).items()}
  tensors = {name.replace("layer2.1.", "layer2.1.block."): x for name, x in plain.items()}
  tensors |= {f"base_model.layer2.1.nl.{name}": x for name, x in golden_weights(path, f"{variant}/w/").items()}
  variables, report = load_weights(shapes_of(network), tensors, network=network)
  assert sorted(report.loaded.values()) == sorted(tensors)
  name = f"after_{type(module).__name__}"
  own = {kind: variables[kind]["backbone"]["res3"]["block1"].get(name, {}) for kind in variables}
  x = np.moveaxis(golden[f"{variant}/x"], 1, -1)
  y = jax.jit(lambda variables, x: module.apply(variables, x, False))(own, x)
  expected = np.moveaxis(golden[f"{variant}/out"], 1, -1)
  np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
