"""Augmentation of whole batches on the device, inside jit.

A transform maps a batch (`types.Batch`, video `[B, T, H, W, C]`) and a key to a batch. Its `needs` name what it relies
on: "pixels", "colour" (RGB) or "label". Transforms run before normalisation, on values in [0, 1]: uint8 is scaled by
1 / 255, float is taken as it is. All frames of a clip share the parameters.

Mixing pairs clip i with clip B - 1 - i (the order of a batch is random already) and mixes the soft labels `target`
float32 `[B, K]`, which `vidjax.train.step.make_prepare` provides.
"""

import dataclasses
from typing import Annotated, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Bound, NonNegative, Positive, Range, Share
from vidjax.checks import check_fields
from vidjax.errors import ConfigError
from vidjax.types import Array, Batch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# RGB to luma and two colour axes, in which a hue shift is a rotation (NTSC).
YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32)


class BatchTransform(Protocol):
  """Maps a batch and a key to a batch."""

  def __call__(self, batch: Batch, key: jax.Array) -> Batch:
    """Applies the transform."""
    ...


@dataclasses.dataclass(frozen=True)
class Normalise:
  """Subtracts the mean and divides by the standard deviation of each channel.

  Attributes:
    mean: per channel, of values in [0, 1].
    std: per channel, of values in [0, 1].
  """

  mean: tuple[float, ...] = IMAGENET_MEAN
  std: tuple[Positive, ...] = IMAGENET_STD

  needs: ClassVar[frozenset[str]] = frozenset({"pixels"})

  def __post_init__(self):
    check_fields(self)
    if len(self.mean) != len(self.std):
      raise ConfigError(f"Normalise(mean={self.mean}, std={self.std}): give as many of both")

  def __call__(self, video: Array) -> jax.Array:
    """`[..., C]` uint8, or float in [0, 1] -> float32 of the same shape."""
    _check_channels(self, "mean", video)
    shape = (1,) * (video.ndim - 1) + (-1,)
    return (to_unit(video) - jnp.reshape(jnp.array(self.mean), shape)) / jnp.reshape(jnp.array(self.std), shape)


@dataclasses.dataclass(frozen=True)
class AsStored:
  """Leaves features and other floats as they are; of pixels it makes 0 to 1."""

  def __call__(self, video: Array) -> jax.Array:
    """Any values to float32, uint8 divided by 255."""
    return to_unit(video)


@dataclasses.dataclass(frozen=True)
class Mixup:
  """Blends each clip and its label with another clip's (Zhang et al., 2018); one weight per batch.

  Attributes:
    alpha: of the Beta distribution of the weight.
    probability: of mixing a batch.
  """

  alpha: Positive = 0.2
  probability: Share = 1.0

  needs: ClassVar[frozenset[str]] = frozenset({"label"})

  def __post_init__(self):
    check_fields(self)

  def __call__(self, batch: Batch, key: jax.Array) -> Batch:
    """Mixes videos and targets."""
    weight = _mixing_weight(self.alpha, self.probability, key)
    video, target = to_unit(batch["video"]), jnp.asarray(batch["target"])
    mixed = weight * video + (1 - weight) * video[::-1]
    return {**batch, "video": mixed, "target": weight * target + (1 - weight) * target[::-1]}


@dataclasses.dataclass(frozen=True)
class CutMix:
  """Pastes a box from another clip into each clip and mixes the labels by area (Yun et al., 2019); one box per batch.

  Attributes:
    alpha: of the Beta distribution of the share that stays.
    probability: of mixing a batch.
  """

  alpha: Positive = 1.0
  probability: Share = 1.0

  needs: ClassVar[frozenset[str]] = frozenset({"label", "pixels"})

  def __post_init__(self):
    check_fields(self)

  def __call__(self, batch: Batch, key: jax.Array) -> Batch:
    """Mixes videos and targets."""
    weight_key, place_key = jax.random.split(key)
    weight = _mixing_weight(self.alpha, self.probability, weight_key)
    video, target = to_unit(batch["video"]), jnp.asarray(batch["target"])
    height, width = video.shape[-3:-1]
    sides = jnp.round(jnp.sqrt(1 - weight) * jnp.array([height, width]))
    centre = jax.random.uniform(place_key, (2,)) * jnp.array([height, width])
    box = _box(centre - sides / 2, sides, height, width)
    weight = 1 - box.mean()
    mixed = jnp.where(box[None, None, :, :, None], video[::-1], video)
    return {**batch, "video": mixed, "target": weight * target + (1 - weight) * target[::-1]}


@dataclasses.dataclass(frozen=True)
class OneOf:
  """Applies one of several transforms to each batch, each as likely; they must write the same entries.

  Attributes:
    transforms: to choose from, such as (Mixup(), CutMix()).
  """

  transforms: Annotated[tuple[BatchTransform, ...], Bound("a tuple of one or more, to choose from", len)]

  def __post_init__(self):
    check_fields(self)

  def __call__(self, batch: Batch, key: jax.Array) -> Batch:
    """Draws a transform and applies it."""
    choice_key, key = jax.random.split(key)
    choice = jax.random.randint(choice_key, (), 0, len(self.transforms))
    return jax.lax.switch(choice, self.transforms, dict(batch), key)


@dataclasses.dataclass(frozen=True)
class ColorJitter:
  """Changes brightness, contrast, saturation and hue of each clip, in this order.

  Attributes:
    brightness: values are scaled by a factor within 1 +- this.
    contrast: the same for the distance from the clip's mean grey.
    saturation: the same for the distance from each pixel's grey.
    hue: largest turn of the colour circle, in turns (a rotation in YIQ).
  """

  brightness: NonNegative = 0.4
  contrast: NonNegative = 0.4
  saturation: NonNegative = 0.4
  hue: NonNegative = 0.1

  needs: ClassVar[frozenset[str]] = frozenset({"pixels", "colour"})

  def __post_init__(self):
    check_fields(self)

  def __call__(self, batch: Batch, key: jax.Array) -> Batch:
    """Jitters the colours of every clip by its own draw."""
    video = to_unit(batch["video"])
    ranges = jnp.array([self.brightness, self.contrast, self.saturation, self.hue])
    draws = jax.random.uniform(key, (4, len(video)), minval=-1, maxval=1) * ranges[:, None]
    brightness, contrast, saturation, hue = draws.reshape(4, -1, 1, 1, 1, 1)
    luma = YIQ[0]
    video = jnp.clip(video * (1 + brightness), 0, 1)
    mean = (video @ luma).mean((1, 2, 3)).reshape(-1, 1, 1, 1, 1)
    video = jnp.clip(mean + (video - mean) * (1 + contrast), 0, 1)
    grey = (video @ luma)[..., None]
    video = jnp.clip(grey + (video - grey) * (1 + saturation), 0, 1)
    y, i, q = jnp.split(video @ YIQ.T, 3, -1)
    cosine, sine = jnp.cos(2 * jnp.pi * hue), jnp.sin(2 * jnp.pi * hue)
    turned = jnp.concatenate([y, cosine * i - sine * q, sine * i + cosine * q], -1)
    return {**batch, "video": jnp.clip(turned @ np.linalg.inv(YIQ).T, 0, 1)}


@dataclasses.dataclass(frozen=True)
class RandomErasing:
  """Paints a box of each clip in one colour, or with noise (Zhong et al., 2020).

  Attributes:
    probability: of erasing a clip.
    area: range of the box's share of the frame.
    aspect: range of the box's height over its width, drawn uniformly in the logarithm.
    color: value of each channel; the default is what ImageNet normalisation maps to 0.
    noise: standard deviation of normal noise on it, drawn for each value of each frame; those of `Normalise` give the
      "pixel" mode of timm's code.
  """

  probability: Share = 0.25
  area: Annotated[Range, Bound("of at most 1", lambda r: r[1] <= 1)] = (0.02, 1 / 3)
  aspect: Range = (0.3, 3.3)
  color: tuple[float, ...] = IMAGENET_MEAN
  noise: tuple[NonNegative, ...] = (0.0,)

  needs: ClassVar[frozenset[str]] = frozenset({"pixels"})

  def __post_init__(self):
    check_fields(self)

  def __call__(self, batch: Batch, key: jax.Array) -> Batch:
    """Erases a box of its own from every chosen clip, the same in all its frames."""
    video = to_unit(batch["video"])
    _check_channels(self, "color", video)
    _check_channels(self, "noise", video)
    clips, height, width = len(video), *video.shape[-3:-1]
    chosen_key, area_key, aspect_key, place_key = jax.random.split(key, 4)
    chosen = jax.random.uniform(chosen_key, (clips,)) < self.probability
    area = jax.random.uniform(area_key, (clips,), minval=self.area[0], maxval=self.area[1]) * height * width
    low, high = jnp.log(jnp.array(self.aspect))
    aspect = jnp.exp(jax.random.uniform(aspect_key, (clips,), minval=low, maxval=high))
    frame = jnp.array([[height, width]])
    sides = jnp.minimum(jnp.round(jnp.sqrt(jnp.stack([area * aspect, area / aspect], -1))), frame)
    starts = jnp.floor(jax.random.uniform(place_key, (clips, 2)) * (frame - sides + 1))
    box = jax.vmap(_box, (0, 0, None, None))(starts, sides, height, width) & chosen[:, None, None]
    paint = jnp.array(self.color).reshape(1, 1, 1, 1, -1)
    if any(self.noise):
      noise = jax.random.normal(jax.random.fold_in(key, 4), video.shape)
      paint = paint + noise * jnp.array(self.noise).reshape(1, 1, 1, 1, -1)
    return {**batch, "video": jnp.where(box[:, None, :, :, None], paint, video)}


def to_unit(video: Array) -> jax.Array:
  """float32 video in [0, 1]: uint8 is scaled, float is taken to be so."""
  scale = 255 if video.dtype == jnp.uint8 else 1
  return jnp.asarray(video, jnp.float32) / scale


def _check_channels(part: Normalise | RandomErasing, field: str, video: Array) -> None:
  values, channels = getattr(part, field), video.shape[-1]
  if 1 not in (len(values), channels) and len(values) != channels:
    raise ConfigError(f"{type(part).__name__}({field}={values}): clips have {channels} channels, give each a number")


def _mixing_weight(alpha: float, probability: float, key: jax.Array) -> jax.Array:
  """Share of each clip that stays: Beta(alpha, alpha) with the given probability, else 1."""
  chosen_key, weight_key = jax.random.split(key)
  return jnp.where(jax.random.uniform(chosen_key) < probability, jax.random.beta(weight_key, alpha, alpha), 1.0)


def _box(start: jax.Array, sides: jax.Array, height: int, width: int) -> jax.Array:
  """bool `[height, width]`: True inside the box from `start` (row, column) with these sides."""
  rows, columns = jnp.arange(height)[:, None], jnp.arange(width)[None]
  row, column = jnp.round(start)
  return (rows >= row) & (rows < row + sides[0]) & (columns >= column) & (columns < column + sides[1])
