"""Deep temporal embedding: an encoder-decoder LSTM over short windows learns what comes next (dte Eq. 14-17).

A clip is features `[B, T, F]` of any backbone, cut into N windows of L steps that overlap. The encoder makes of each a
context `[D]`, its embedding. The decoder reads `[y_{t-1}, c]` and predicts the M steps that follow the window. The
text says neither how long windows are, nor what data are embedded, nor how the layers of a deep decoder join [I].
"""

from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Count, Positive, Whole
from vidjax.checks import check_features, check_fields, place
from vidjax.errors import ConfigError, InputError
from vidjax.networks.clusters import Clusters
from vidjax.recurrent import LSTM
from vidjax.types import Output

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
    x = features - features.mean(axis=1, keepdims=True) if self.remove_mean else features
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


class Decoder(nn.Module):
  """One layer of the decoder, bias-free but for its output: a part of networks.

  Attributes:
    units: of the LSTM.
    feed: "true" gives it the data before each step, y_{t-1}; "nothing" zeros in their place, so that the context alone
      must tell what comes [I].
    bias: of the LSTM.
  """

  units: Count
  feed: Literal["true", "nothing"] = "true"
  bias: bool = False

  @nn.compact
  def __call__(self, before: jax.Array, context: jax.Array) -> jax.Array:
    """Predicts `[B * N, M, W]`, before any sigmoid (Eq. 17; its s_T is a slip for s_t).

    Args:
      before: y_{t-1} `[B * N, M, W]`; y_0 is the last step of the window [I].
      context: `[B * N, M, C]`, the same for all steps, or what the layer above predicts.
    """
    before = before if self.feed == "true" else jnp.zeros_like(before)
    _, given = LSTM(self.units, bias=self.bias, name="lstm")(jnp.concatenate([before, context], axis=-1))
    return nn.Dense(before.shape[-1], name="read_out")(given.h)


class DeepEmbedding(nn.Module):
  """Learns the embedding without labels: layer by layer, then all layers, then with clusters.

  Attributes:
    widths: as in `Embedding`, of all layers that there are so far.
    window: as in `Embedding`.
    stride: as in `Embedding`.
    context: as in `Embedding`.
    bias: as in `Embedding`, and of the decoder.
    remove_mean: as in `Embedding`.
    steps: M, how many steps the decoder predicts; 0 leaves it out, as deep embedding clustering does.
    greedy: train the last layer alone: it predicts the next hidden states of the layer before it. Hold the others by
      `train.frozen`. Else all decoders follow each other, the last layer's first, and predict the next features.
    output: "sigmoid" as in Eq. 17, or "linear".
    feed: as in `Decoder`.
    clusters: K, or None before there are any.
    dof: as in `clusters.Clusters`.
    records: as in `clusters.Clusters`.
    table: as in `clusters.Clusters`.
    num_classes: not used; other networks have it.
  """

  widths: Widths = (128, 64)
  window: Count = 8
  stride: Count = 4
  context: Context = "last"
  bias: bool = False
  remove_mean: bool = False
  steps: Whole = 4
  greedy: bool = False
  output: Literal["sigmoid", "linear"] = "sigmoid"
  feed: Literal["true", "nothing"] = "true"
  clusters: Count | None = None
  dof: Positive = 1.0
  records: Count | None = None
  table: bool = False
  num_classes: int = 0

  @nn.compact
  def __call__(self, features: jax.Array, train: bool) -> Output:
    """Features `[B, T, F]` to `Output` without logits; its `features` `[B, D]` are the mean of the embeddings.

    `aux` holds `embedding` `[B, N, D]` and `places` int `[B, N, L]`; of a decoder `target`, `prediction` and, with a
    sigmoid, `prediction_logits` `[B, N, M, W]`, and `exists` `[B, N, M]`; and what `Clusters` gives.
    """
    check_fields(self)
    if self.steps and not self.widths:
      raise ConfigError(f"DeepEmbedding at {place(self)} has no layer to decode: set steps=0, or give widths")
    if not self.steps and not self.clusters:
      raise ConfigError(f"DeepEmbedding at {place(self)} has no decoder (steps=0) and no clusters: give it either")
    shape = (self.widths, self.window, self.stride, self.context, self.bias, self.remove_mean)
    embedded = Embedding(*shape, name="embedding")(features, self.steps)
    z = embedded.z
    aux: dict[str, Any] = {
      "embedding": z,
      "places": jnp.broadcast_to(embedded.places, (len(z), *embedded.places.shape)),
    }
    if self.steps:
      aux |= self._predicted(embedded, features.shape[1])
    if self.clusters:
      aux |= Clusters(self.clusters, self.dof, self.records, self.table, name="clusters")(z, train)[1]
    no_scores: Any = None
    return Output(no_scores, z.mean(axis=1), aux)

  def _predicted(self, embedded: Embedded, length: int) -> dict[str, jax.Array]:
    """What the decoder says of the steps behind each window, and what is there."""
    if length <= self.window:
      raise InputError(
        f"DeepEmbedding at {place(self)}: nothing follows a window of {self.window} in a clip of {length} steps: sample"
        " more, or set a shorter window"
      )
    batch, windows, width = embedded.z.shape
    last = len(self.widths) - 1
    said = embedded.z.reshape(-1, 1, width).repeat(self.steps, axis=1)
    for number in range(last, last - 1 if self.greedy else -1, -1):
      data = embedded.layers[number]
      decoder = Decoder(self.widths[number], self.feed, self.bias, name=f"decoder{number}")
      logits = decoder(data[:, self.window - 1 : -1], said)
      values = nn.sigmoid(logits) if self.output == "sigmoid" else logits
      target = data[:, self.window :]
      if number:
        target, said = (target + 1) / 2, 2 * values - 1  # hidden states lie within -1 and 1
    shape = (batch, windows, self.steps, -1)
    follows = embedded.places[:, -1:] + 1 + np.arange(self.steps)
    found = {"target": jax.lax.stop_gradient(target.reshape(shape)), "prediction": values.reshape(shape)}
    found |= {"prediction_logits": logits.reshape(shape)} if self.output == "sigmoid" else {}
    return found | {"exists": jnp.broadcast_to(follows < length, (batch, *follows.shape))}


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
