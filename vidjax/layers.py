"""The layers plug-ins, inputs and backbones share: convolution and batch normalisation."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.errors import ConfigError
from vidjax.ops.batch_norm import normalise, normalise_by_batch
from vidjax.ops.convolution import convolution
from vidjax.ops.resize import resize_linear

FrozenBN = Literal["none", "all_but_first", "all"]
"""TSN's partial BN; thesis 3.6.1 fine-tunes with all but the first frozen."""

he_init = nn.initializers.variance_scaling(2, "fan_out", "normal")
linear_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""PyTorch's initial values, which the released non-local code keeps: with larger ones its unscaled softmax starts
saturated."""


def conv(features: int, kernel_size: Sequence[int], **options: Any) -> nn.Conv:
  """`nn.Conv` with He's initial values, no bias, and the fast lowerings of `ops.convolution`.

  Args:
    features: channels of the result.
    kernel_size: of each axis between batch and channels, time first where there are three.
    options: further arguments of `nn.Conv`; they replace the defaults above.
  """
  plain = {key: int(value) if isinstance(value, np.integer) else value for key, value in options.items()}
  defaults = {"use_bias": False, "kernel_init": he_init, "conv_general_dilated": convolution}
  return nn.Conv(features, kernel_size, **{**defaults, **plain})


def call(module: nn.Module, x: jax.Array, train: bool, name: str = "") -> jax.Array:
  """`module(x, train)`; ConfigError where a plug-in, an input or a backbone is not called so or returns no array.

  Args:
    module: a plug-in, an input or a backbone.
    x: clips or feature maps, as the module takes them.
    train: whether batch statistics are computed and dropout is on.
    name: what the error calls it (default: its class).
  """
  name = name or type(module).__name__
  try:
    inspect.signature(module).bind(x, train)
  except ConfigError:  # what its setup refuses, which runs here
    raise
  except TypeError as error:
    raise ConfigError(f"{name}: is not called as (x, train), as plug-ins and inputs are ({error})") from None
  y = module(x, train)
  if not isinstance(y, (jax.Array, np.ndarray)):
    raise ConfigError(f"{name}: returns {type(y).__name__}, not an array, as plug-ins, inputs and backbones do")
  return jnp.asarray(y)


def copies(modules: Iterable[nn.Module], prefix: str = "") -> list[nn.Module]:
  """Copies of templates; call it inside a compact method.

  A copy is named by `prefix` and its class, the second of one class `TSM_2`, so that names depend on nothing else.

  Args:
    modules: the templates.
    prefix: of the copies' names.
  """
  names: list[str] = []
  found = []
  for module in modules:
    names.append(f"{prefix}{type(module).__name__}")
    count = names.count(names[-1])
    found.append(module.copy(name=names[-1] if count == 1 else f"{names[-1]}_{count}"))
  return found


def apply_in_order(modules: Iterable[nn.Module], x: jax.Array, train: bool, prefix: str = "") -> jax.Array:
  """Applies copies of templates one after the other; call it inside a compact method.

  Args:
    modules: the templates.
    x: what the first one takes.
    train: as in `call`.
    prefix: of the copies' names, see `copies`.
  """
  for module in copies(modules, prefix):
    x = call(module, x, train, module.name or "")
  return x


def round_channels(channels: float) -> int:
  """The nearest multiple of 8, at least 8 and 90% of `channels`: the widths of MobileNetV2 and X3D."""
  rounded = max(8, int(channels + 4) // 8 * 8)
  return rounded if rounded >= 0.9 * channels else rounded + 8


class BatchNorm(nn.Module):
  """`nn.BatchNorm` called as `(x, train)`, over every axis but the last, with the faster gradient of `ops.batch_norm`.

  Under jit over a sharded batch the statistics are those of the whole batch, on all devices.

  Attributes:
    momentum: share of the running statistics that a step keeps.
    epsilon: added to the variance.
    frozen: use the running statistics also in training, leave them as they are, and pass no gradient to scale and bias.
    scale_init: of the scale.
    affine: scale and bias after the normalisation.
    one_pass: how the variance is computed, as `ops.batch_norm` takes it.
  """

  momentum: float = 0.9
  epsilon: float = 1e-5
  frozen: bool = False
  scale_init: nn.initializers.Initializer = nn.initializers.ones
  affine: bool = True
  one_pass: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Normalises `[..., C]` by the batch in training, by the running statistics otherwise."""
    shape = x.shape[-1:]
    running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
    running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
    scale, bias = jnp.ones(shape, x.dtype), jnp.zeros(shape, x.dtype)
    if self.affine:
      scale = self.param("scale", self.scale_init, shape, jnp.float32)
      bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
    if self.frozen:
      scale, bias = jax.lax.stop_gradient((scale, bias))
    if not train or self.frozen:
      return normalise(x, running_mean.value, running_var.value, scale, bias, self.epsilon)
    y, mean, var = normalise_by_batch(x, scale, bias, self.epsilon, self.one_pass)
    if not self.is_initializing():
      running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
      running_var.value = self.momentum * running_var.value + (1 - self.momentum) * var
    return y


class Resize(nn.Module):
  """`[B,T,H,W,C]` at the frames and pixels of another clip, linear in each; a module, so that costs are told apart."""

  def __call__(self, x: jax.Array, like: jax.Array) -> jax.Array:
    """`x` at the size of `like`."""
    return resize_linear(x, (*x.shape[:-4], *like.shape[-4:-1], x.shape[-1]))
