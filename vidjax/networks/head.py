"""What turns a feature map into class scores: pooling, an optional hidden layer, a classifier."""

from typing import Annotated, Literal

import flax.linen as nn
import jax

from vidjax.bounds import Bound
from vidjax.errors import ConfigError
from vidjax.layers import call, he_init

Consensus = Literal["logits", "features"]
"""What is averaged over time: the "logits" of every frame (TSN's segmental consensus), or the "features", which are
then classified once (X3D and other networks whose features see the whole clip)."""

Classes = Annotated[int, Bound("an int of at least 1; leave it out for those of the data", lambda n: n >= 1)]


def backbone_map(module: nn.Module, backbone: nn.Module, x: jax.Array, train: bool) -> jax.Array:
  """The feature map `[B, T', H', W', D]` that the backbone of a network makes; ConfigError where it makes none.

  Args:
    module: the network, which the error names.
    backbone: the module to call.
    x: clips `[B, T, H, W, C]`.
    train: as in `layers.call`.
  """
  y = call(backbone, x, train, f"{type(module).__name__}(backbone={type(backbone).__name__})")
  if y.ndim != 5:
    given = f"{type(module).__name__}(backbone={type(backbone).__name__})"
    raise ConfigError(f"{given}: makes no feature map [B, T, H, W, C] of clips: name a module of vidjax.backbones")
  return y


def pool(feature_map: jax.Array, consensus: Consensus) -> jax.Array:
  """The mean over space, `[B, T, D]`, or over time and space, `[B, D]`, where features are averaged.

  Args:
    feature_map: `[B, T, H, W, D]`.
    consensus: "logits" keeps the time axis, "features" does not.
  """
  return feature_map.mean(axis=(-3, -2) if consensus == "logits" else (-4, -3, -2))


def pooled(pooling: nn.Module | None, feature_map: jax.Array, consensus: Consensus, train: bool) -> jax.Array:
  """As `pool`, by a module where there is one.

  Args:
    pooling: called as `(x, train)` on `[B, T, H, W, D]`, returns `[B, D]`; or None for the mean.
    feature_map: `[B, T, H, W, D]`.
    consensus: "logits" pools each frame, "features" the clip.
    train: as in `layers.call`.
  """
  if pooling is None:
    return pool(feature_map, consensus)
  batch, frames, *_, width = feature_map.shape
  each = consensus == "logits"
  y = call(pooling, feature_map.reshape(-1, 1, *feature_map.shape[2:]) if each else feature_map, train)
  return y.reshape(batch, frames, width) if each else y


def hidden_layer(width: int, name: str) -> nn.Dense:
  """The layer without bias that X3D has, with ReLU after it, between the pooling and the dropout.

  Args:
    width: features of the layer.
    name: of the layer.
  """
  return nn.Dense(width, use_bias=False, kernel_init=he_init, name=name)


def classifier(num_classes: int, name: str | None = None) -> nn.Dense:
  """The last layer; its weights start as N(0, .001), as TSN's.

  Args:
    num_classes: scores of the layer.
    name: of the layer (default: Linen's own).
  """
  return nn.Dense(num_classes, kernel_init=nn.initializers.normal(0.001), name=name)
