"""Classifiers of feature sequences to compare with: LSTM, transformer, NetVLAD (Arandjelovic et al., CVPR 2016)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Count, Rate
from vidjax.checks import check_features, place
from vidjax.errors import ConfigError
from vidjax.layers import BatchNorm
from vidjax.networks.head import Classes, classifier
from vidjax.networks.windows import without_mean
from vidjax.ops.clusters import vlad
from vidjax.recurrent import Stack
from vidjax.types import Output


class LSTMClassifier(nn.Module):
  """A stack of LSTMs over all steps; the last hidden state is classified.

  Attributes:
    num_classes: K.
    widths: units of each layer.
    bias: of the LSTMs.
    remove_mean: read what features are beyond the mean of their clip.
    dropout: share of the features dropped before the classifier.
  """

  num_classes: Classes
  widths: tuple[Count, ...] = (128,)
  bias: bool = True
  remove_mean: bool = False
  dropout: Rate = 0.0

  @nn.compact
  def __call__(self, features: jax.Array, train: bool) -> Output:
    """Features `[B, T, F]`, float, to `Output`; its `features` `[B, D]` are the last hidden state."""
    check_features(self, features)
    features = without_mean(features) if self.remove_mean else features
    x = Stack(self.widths, bias=self.bias, name="layers")(features)[0][-1].h
    logits = classifier(self.num_classes, "classifier")(nn.Dropout(self.dropout, deterministic=not train)(x))
    return Output(logits, x)


class TransformerClassifier(nn.Module):
  """Attention of all steps to one another, in layers; the mean over the steps is classified.

  A layer is attention, then two dense layers with GELU, the first of four times the width. Each is added to what it
  reads normalised. Steps are told by sines and cosines of their number (Vaswani et al., NIPS 2017).

  Attributes:
    num_classes: K.
    width: of a step.
    depth: number of layers.
    heads: of the attention; the width is a multiple of them.
    remove_mean: as in `LSTMClassifier`.
    dropout: share of the features dropped before the classifier.
  """

  num_classes: Classes
  width: Count = 128
  depth: Count = 2
  heads: Count = 4
  remove_mean: bool = False
  dropout: Rate = 0.0

  @nn.compact
  def __call__(self, features: jax.Array, train: bool) -> Output:
    """Features `[B, T, F]`, float, to `Output`; its `features` `[B, width]` are the mean of the last layer."""
    check_features(self, features)
    if self.width % self.heads or self.width % 2:
      raise ConfigError(
        f"TransformerClassifier(width={self.width}) at {place(self)}: take an even multiple of heads={self.heads}"
      )
    features = without_mean(features) if self.remove_mean else features
    x = nn.Dense(self.width, name="embed")(features)
    x = x + positions(features.shape[1], self.width).astype(x.dtype)[None]
    for number in range(self.depth):
      y = nn.LayerNorm(name=f"norm{number}")(x)
      x = x + nn.MultiHeadDotProductAttention(self.heads, name=f"attention{number}")(y)
      y = nn.Dense(4 * self.width, name=f"wide{number}")(nn.LayerNorm(name=f"wide_norm{number}")(x))
      x = x + nn.Dense(self.width, name=f"narrow{number}")(nn.gelu(y))
    x = nn.LayerNorm(name="norm")(x).mean(axis=1)
    logits = classifier(self.num_classes, "classifier")(nn.Dropout(self.dropout, deterministic=not train)(x))
    return Output(logits, x)


def positions(steps: int, width: int) -> jax.Array:
  """Sines and cosines of the number of each step, `[steps, width]`, half each: periods from 2 pi to 20,000 pi.

  Args:
    steps: T.
    width: even.
  """
  rates = 10_000.0 ** -np.linspace(0, 1, width // 2)
  angles = np.arange(steps)[:, None] * rates
  return jnp.asarray(np.concatenate([np.sin(angles), np.cos(angles)], axis=1), jnp.float32)


class NetVLAD(nn.Module):
  """Residuals of the features to centres, added up by clusters that a layer chooses; all of it is learnt with labels.

  ActionVLAD (Girdhar et al., CVPR 2017) pools so over time.

  Attributes:
    num_classes: number of classes.
    clusters: K.
    remove_mean: as in `LSTMClassifier`.
    normalise: standardise the vector by the batch, and by running statistics in tests. Its numbers are small.
    dropout: share of the K * F numbers dropped before the classifier.
  """

  num_classes: Classes
  clusters: Count = 64
  remove_mean: bool = False
  normalise: bool = False
  dropout: Rate = 0.0

  @nn.compact
  def __call__(self, features: jax.Array, train: bool) -> Output:
    """Features `[B, T, F]`, float, to `Output`; its `features` `[B, K * F]` are the VLAD of unit features."""
    check_features(self, features)
    features = without_mean(features) if self.remove_mean else features
    x = features * jax.lax.rsqrt(jnp.sum(jnp.square(features), axis=-1, keepdims=True) + 1e-12)
    weights = jax.nn.softmax(nn.Dense(self.clusters, name="assign")(x))
    centres = self.param("centres", nn.initializers.lecun_normal(), (self.clusters, x.shape[-1]))
    y = vlad(x, centres, weights)
    if self.normalise:
      y = BatchNorm(affine=False, name="norm")(y, train)
    logits = classifier(self.num_classes, "classifier")(nn.Dropout(self.dropout, deterministic=not train)(y))
    return Output(logits, y)
