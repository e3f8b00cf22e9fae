"""Motion Band-Pass Module and its complement, the Busy and the Quiet of a clip (thesis Eq. 5.1-5.4)."""

from collections.abc import Sequence
from typing import Annotated, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Bound, Count, Positive, between, odd
from vidjax.checks import check_clip, checked, place
from vidjax.errors import ConfigError, InputError
from vidjax.ops.depthwise import depthwise_convolution
from vidjax.ops.resize import resize_linear

Normalise = Literal["sum", "l1"]
Form = Literal["complement", "first"]

TEMPORAL = np.array([-1 / 3, 2 / 3, -1 / 3])
"""The negative second difference over time, h of Eq. 5.1."""


Sigma = Annotated[float, between(1e-3, 1e6)]
Kernel = Annotated[int, odd(3)]
"""With a middle and two sides; both in pixels."""


@checked
def laplacian_of_gaussian(sigma: Sigma, kernel: Kernel, normalise: Normalise = "sum") -> np.ndarray:
  """Eq. 5.2 at integer offsets, `[kernel, kernel]` in float64, scaled so that its centre is positive.

  The sum of a Laplacian of Gaussian tends to 0 as the kernel grows, so that "sum" makes tall kernels: at sigma 1.1 its
  magnitudes sum to 5.1 for 5x5 pixels, 60 for 7x7, 1,589 for 9x9 and 103,000 for 11x11.

  Args:
    sigma: of the Gaussian, in pixels.
    kernel: size in pixels, odd.
    normalise: "sum" scales the sum to 1 (thesis and released code), "l1" the sum of the magnitudes.

  Raises:
    ConfigError: an even kernel, sigma out of range, or a sum too close to 0 to divide by.
  """
  offset = np.arange(kernel) - kernel // 2
  q = (offset[:, None] ** 2 + offset[None] ** 2) / (2 * sigma**2)
  log = -np.exp(-q) * (1 - q) / (np.pi * sigma**4)
  total, magnitude = log.sum(), np.abs(log).sum()
  if normalise == "l1":
    return -log / magnitude
  if abs(total) < 1e-7 * magnitude:
    raise ConfigError(
      f"sigma={sigma}, kernel={kernel}, normalise='sum': the kernel sums to {total / magnitude:.0e} of its "
      "magnitudes, too little to divide by; choose a smaller kernel or normalise='l1'"
    )
  return log / total


class MBPM(nn.Module):
  """Passes what changes in space and time: `[B,T,H,W,C] -> [B,T',H,W,C]`, every channel with its own two kernels.

  A Laplacian of Gaussian over reflected borders follows the negative second difference of each frame and its two
  neighbours; both are linear and each keeps to its axes, so their order, which Eq. 5.3 has the other way round, does
  not matter, and this one filters a third of the frames. A clip at rest gives 0. What "sum" puts out is hundreds of
  times the input (see `laplacian_of_gaussian`): a BatchNorm follows, that of the backbone's first convolution or of the
  lateral connection. Parameters: `spatial/kernel` `[k, k, 1, C]` and `temporal/kernel` `[3, 1, C]`. A pixel that is not
  finite touches its own clip only, within the kernel and the frames it is read with.

  Attributes:
    sigma: scale of the Gaussian in pixels: 1.1 on input, .9 in lateral connections.
    kernel: k in pixels, odd: 9 on input, 7 in lateral connections, 3 there in res5.
    stride: temporal; s > 1 reads 3 frames every s, without padding, so that 3 makes T/3 frames of T (the Busy
      pathway's input); 1 keeps T frames, the first and the last one repeated (lateral connections).
    trainable: False keeps the initial kernels, which then are no parameters.
    normalise: "sum" (thesis, released code) or "l1", whose output has the magnitude of its input.
  """

  sigma: Sigma = 1.1
  kernel: Kernel = 9
  stride: Count = 3
  trainable: bool = True
  normalise: Normalise = "sum"

  @property
  def gain(self) -> float:
    """Sum of the initial kernel's magnitudes, by which the output is larger than the clip: 1 with "l1"."""
    return float(np.abs(laplacian_of_gaussian(self.sigma, self.kernel, self.normalise)).sum())

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns Gamma; raises ConfigError on wrong attributes and InputError on clips too short or too small."""
    check_clip(self, x)
    length, height, width, channels = x.shape[-4:]
    try:
      initial = laplacian_of_gaussian(self.sigma, self.kernel, self.normalise)
    except ConfigError as error:
      raise ConfigError(f"MBPM at {place(self, x)}: {error}") from None
    if self.stride > 1 and (length < 3 or (length - 3) % self.stride):
      remedy = "a multiple of 3" if self.stride == 3 else f"3 and a multiple of {self.stride} more"
      raise InputError(f"MBPM(stride={self.stride}) at {place(self, x)}: {length} frames do not fit; sample {remedy}")
    half = self.kernel // 2
    if min(height, width) <= half:
      most = 2 * min(height, width) - 1
      raise InputError(
        f"MBPM(kernel={self.kernel}) at {place(self, x)}: {height} x {width} pixels are too few to reflect {half} of "
        f"them; choose {f'a kernel of at most {most} or ' * (most > 1)}larger maps"
      )
    temporal = self._kernel("temporal", TEMPORAL, channels).reshape(3, *(1,) * (x.ndim - 1), channels)
    if self.stride == 1:
      x = jnp.concatenate([x[..., :1, :, :, :], x, x[..., -1:, :, :, :]], axis=-4)
    last = x.shape[-4] - 2
    # In float32: the differences of neighbouring frames are small beside the frames.
    parts = [x[..., i : i + last : self.stride, :, :, :].astype(jnp.float32) * temporal[i] for i in range(3)]
    change = sum(parts[1:], parts[0]).astype(x.dtype)
    spatial = self._kernel("spatial", initial, channels).astype(x.dtype)
    frames = change.reshape(-1, *change.shape[-3:])
    frames = depthwise_convolution(frames, spatial, (1, 1), ((half, half), (half, half)), "reflect")
    return frames.reshape(change.shape)

  def _kernel(self, name: str, initial: np.ndarray, channels: int) -> jax.Array:
    """The kernel of every channel, `[*initial.shape, 1, channels]`."""
    kernel = np.broadcast_to(initial[..., None, None], (*initial.shape, 1, channels)).astype(np.float32)
    if not self.trainable:
      return jnp.asarray(kernel)
    return _Kernel(name=name)(kernel)


class _Kernel(nn.Module):
  """A parameter `kernel` in a scope of its own: the name that checkpoints map and that weight decay looks for."""

  @nn.compact
  def __call__(self, initial: np.ndarray) -> jax.Array:
    return self.param("kernel", lambda _: jnp.asarray(initial))


Busy = Annotated[MBPM, Bound("an MBPM of stride 3", lambda module: module.stride == 3)]


class Quiet(nn.Module):
  """The complement of the Busy, smaller (Eq. 5.4): `[B,3S,H,W,C] -> [B,S,scale H,scale W,C]`.

  Attributes:
    busy: what is subtracted, over its `gain`; its stride must be 3. What "sum" puts out is hundreds of times the clip,
      so that Eq. 5.4 to the letter would leave the Busy with its sign changed. A network that has its Busy already
      calls `quiet` instead.
    scale: of height and width, rounded down; the thesis goes from 256 to 160 pixels.
    size: pixels of the shorter side, in place of `scale`.
    form: see `quiet`; "first" has no parameters.
  """

  busy: Busy = MBPM()
  scale: Positive = 0.625
  form: Form = "complement"
  size: Count | None = None

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the Quiet information; raises ConfigError and InputError as MBPM does."""
    check_clip(self, x)
    size = quiet_size(x.shape[-3:-1], self.scale, self.size)
    if min(size) < 1:
      raise ConfigError(f"Quiet(scale={self.scale}) at {place(self, x)}: makes {size[0]} x {size[1]} pixels of them")
    return quiet(x, None if self.form == "first" else self.busy(x, train) / self.busy.gain, size, self.form)


def quiet_size(sides: Sequence[int], scale: float, shorter: int | None = None) -> list[int]:
  """Height and width of the Quiet of a clip with these: `scale` of each, rounded down, or the shorter one given.

  Args:
    sides: height and width of the clip.
    scale: factor of each.
    shorter: the shorter side in pixels in place of `scale`, or None.
  """
  if shorter is None:
    return [int(scale * side) for side in sides]
  return [round(side * shorter / min(sides)) for side in sides]


@checked
def quiet(x: jax.Array, busy: jax.Array | None, size: Sequence[int], form: Form = "complement") -> jax.Array:
  """What the Quiet pathway reads of a clip, scaled bilinearly without antialiasing, as in the released code.

  Args:
    x: `[..., 3S, H, W, C]`.
    busy: `[..., S, H, W, C]`, an MBPM's output for `x` over its `gain`; "first" leaves it alone.
    size: height and width of the result.
    form: "complement", the mean of every three frames less `busy` (Eq. 5.4), or "first", the first one of every three
      frames, as in the released code.

  Returns:
    `[..., S, *size, C]`.

  Raises:
    ConfigError: no such form.
    InputError: shapes that do not fit.
  """
  if x.ndim < 5 or x.shape[-4] % 3 or x.shape[-4] == 0:
    raise InputError(f"quiet takes clips of a multiple of 3 frames, [B, 3S, H, W, C], got the shape {x.shape}")
  thirds = (*x.shape[:-4], x.shape[-4] // 3, *x.shape[-3:])
  triples = x.reshape(*thirds[:-3], 3, *thirds[-3:])
  if form == "first":
    y = triples[..., 0, :, :, :]
  elif busy is None or busy.shape != thirds:
    raise InputError(f"quiet: a clip {x.shape} wants its busy {thirds}, got {None if busy is None else busy.shape}")
  else:
    y = triples.mean(axis=-4) - busy
  return resize_linear(y, (*thirds[:-3], *size, thirds[-1]))
