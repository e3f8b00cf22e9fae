"""State dicts as PyTorch's libraries name and lay them out, made here by hand-written patterns."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

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
  return jax.tree.map(lambda x: np.full(x.shape, -float(next(count)), x.dtype), shapes)
