"""Short windows of a clip's features, and the LSTM that embeds each, as a part of networks (dte Eq. 14 and 16).

A clip is features `[B, T, F]` of any backbone, cut into N windows of L steps that overlap. The encoder makes of each a
context `[D]`, its embedding. The text says neither how long windows are nor what data are embedded [I].
"""

from typing import ClassVar, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Count
from vidjax.checks import check_features, place
from vidjax.errors import InputError
from vidjax.recurrent import LSTM

Context = Literal["last", "attention"]
Widths = tuple[Count, ...]


class Embedded(NamedTuple):
  """The windows of a clip.

  Attributes:
    z: embeddings `[B, N, D]`.
    places: int `[N, L]`, the steps of each window.
    windows: `[B, N, L, F]`, the scaled features.
    layers: what each layer reads, `[B * N, L + M, W]`: features from 0 to 1, then hidden states.
  """

  z: jax.Array
  places: np.ndarray
  windows: jax.Array
  layers: list[jax.Array]


class Embedding(nn.Module):
  """The encoder over every window, with the scaling of its data: a part of networks.

  Attributes:
    widths: units of each layer; the last one is D. Without a layer, the mean of its features embeds a window, as a
      baseline.
    window: L.
    stride: steps from one window to the next. A last window ends with the clip.
    context: "last", the last hidden state (Eq. 16); "attention" [I], the mean of all, by weights that are learnt.
    bias: of the LSTMs; Eq. 14 has none.
    remove_mean: embed what features are beyond the mean of their clip, so that windows differ by motion and not by what
      moves [I].
  """

  widths: Widths = (128, 64)
  window: Count = 8
  stride: Count = 4
  context: Context = "last"
  bias: bool = False
  remove_mean: bool = False

  same: ClassVar[tuple[str, ...]] = (
    "window",
    "stride",
    "context",
    "remove_mean",
  )  # see `train.parts`

  @nn.compact
  def __call__(self, features: jax.Array, following: int = 0) -> Embedded:
    """Embeds features `[B, T, F]`, scaled to 0 to 1 by the running statistics `low` and `high`.

    `train.windows.Scaling` starts these; as they are at first, features must be from 0 to 1.

    Args:
      features: the clip.
      following: M, steps behind each window that the layers read, too; there are zeros behind the clip.
    """
    check_features(self, features)
    batch, steps, width = features.shape
    if steps < self.window:
      raise InputError(
        f"window={self.window} at {place(self)}: a clip of {steps} steps holds no such window: sample that many"
        f" (--config.sampler.num_segments={self.window}), or set a window of up to {steps}"
      )
    low, high = (
      self.variable("batch_stats", name, jnp.full, (width,), value, jnp.float32).value
      for name, value in (("low", 0.0), ("high", 1.0))
    )
    x = without_mean(features) if self.remove_mean else features
    x = jnp.pad(unit_range(x, low, high), ((0, 0), (0, following), (0, 0)))
    places = window_places(steps, self.window, self.stride)
    longer = places[:, :1] + np.arange(self.window + following)
    layers = [x[:, longer].reshape(-1, longer.shape[1], width)]
    for number, units in enumerate(self.widths):
      last = number == len(self.widths) - 1  # what follows a window is read by no decoder of a layer above
      length = self.window if last else longer.shape[1]
      layer = LSTM(units, bias=self.bias, name=f"lstm{number}")
      _, given = layer(layers[-1][:, :length]) if number else layer(x, windows=longer[:, :length])
      layers.append(given.h)
    if not self.widths:
      z = layers[0][:, : self.window].mean(axis=1)
    else:
      hidden = layers.pop()
      z = hidden[:, -1] if self.context == "last" else self._attended(hidden)
    return Embedded(z.reshape(batch, len(places), -1), places, x[:, places], layers)

  def _attended(self, hidden: jax.Array) -> jax.Array:
    name = f"attention{len(self.widths) - 1}"
    score = nn.Dense(1, use_bias=False, name=name)(
      nn.tanh(nn.Dense(hidden.shape[-1], use_bias=False, name=f"{name}_inner")(hidden))
    )
    return jnp.sum(jax.nn.softmax(score, axis=1) * hidden, axis=1)


def without_mean(features: jax.Array) -> jax.Array:
  """What features `[B, T, F]` are beyond the mean of their clip."""
  return features - features.mean(axis=1, keepdims=True)


def window_places(steps: int, window: int, stride: int) -> np.ndarray:
  """The steps of each window, int `[N, L]`: one window every `stride` steps, and a last one that ends with the clip.

  Args:
    steps: T.
    window: L, at most T.
    stride: steps from one window to the next.
  """
  starts = np.arange(0, steps - window + 1, stride)
  starts = starts if starts[-1] + window == steps else np.append(starts, steps - window)
  return starts[:, None] + np.arange(window)


def unit_range(x: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
  """Features `[B, T, F]` from 0 at `low` `[F]` to 1 at `high`, cut off there; 0 where both are the same.

  Args:
    x: the features.
    low: the smallest in the training data.
    high: the largest.
  """
  low, span = (a.astype(x.dtype)[None, None] for a in (low, high - low))
  return jnp.where(span > 0, jnp.clip((x - low) / jnp.where(span > 0, span, 1), 0, 1), 0)
