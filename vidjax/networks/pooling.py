"""Classifiers of feature sequences to compare with: an LSTM, and NetVLAD (Arandjelovic et al., CVPR 2016)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count, Rate
from vidjax.checks import check_features
from vidjax.networks.head import Classes, classifier
from vidjax.ops.clusters import vlad
from vidjax.recurrent import Stack
from vidjax.types import Output


class LSTMClassifier(nn.Module):
  """A stack of LSTMs over all steps; the last hidden state is classified.

  Attributes:
    num_classes: K.
    widths: units of each layer.
    bias: of the LSTMs.
    dropout: share of the features dropped before the classifier.
  """

  num_classes: Classes
  widths: tuple[Count, ...] = (128,)
  bias: bool = True
  dropout: Rate = 0.0

  @nn.compact
  def __call__(self, features: jax.Array, train: bool) -> Output:
    """Features `[B, T, F]`, float, to `Output`; its `features` `[B, D]` are the last hidden state."""
    check_features(self, features)
    x = Stack(self.widths, bias=self.bias, name="layers")(features)[0][-1].h
    logits = classifier(self.num_classes, "classifier")(nn.Dropout(self.dropout, deterministic=not train)(x))
    return Output(logits, x)


class NetVLAD(nn.Module):
  """Residuals of the features to centres, added up by clusters that a layer chooses; all of it is learnt with labels.

  ActionVLAD (Girdhar et al., CVPR 2017) pools so over time.

  Attributes:
    num_classes: number of classes.
    clusters: K.
    dropout: share of the K * F numbers dropped before the classifier.
  """

  num_classes: Classes
  clusters: Count = 64
  dropout: Rate = 0.0

  @nn.compact
  def __call__(self, features: jax.Array, train: bool) -> Output:
    """Features `[B, T, F]`, float, to `Output`; its `features` `[B, K * F]` are the VLAD of unit features."""
    check_features(self, features)
    x = features * jax.lax.rsqrt(jnp.sum(jnp.square(features), axis=-1, keepdims=True) + 1e-12)
    weights = jax.nn.softmax(nn.Dense(self.clusters, name="assign")(x))
    centres = self.param("centres", nn.initializers.lecun_normal(), (self.clusters, x.shape[-1]))
    y = vlad(x, centres, weights)
    logits = classifier(self.num_classes, "classifier")(nn.Dropout(self.dropout, deterministic=not train)(y))
    return Output(logits, y)
