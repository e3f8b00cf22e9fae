"""Deep temporal embedding: an encoder-decoder LSTM over short windows learns what comes next (dte Eq. 14-17).

The encoder makes of each window a context (`networks.windows`). The decoder reads `[y_{t-1}, c]` and predicts the M
steps that follow. The text does not say how the layers of a deep decoder join [I]: see `DeepEmbedding`.
"""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Count, Positive, Whole
from vidjax.checks import check_fields, place
from vidjax.errors import ConfigError, InputError
from vidjax.networks.clusters import Clusters
from vidjax.networks.windows import Context, Embedded, Embedding, Widths
from vidjax.recurrent import LSTM
from vidjax.types import Output


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
      "places": jnp.broadcast_to(embedded.places, (z.shape[0], *embedded.places.shape)),
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
