"""A classifier of stored features: a linear probe, one with a hidden layer, or one that pools by attention."""

import flax.linen as nn
import jax

from vidjax.bounds import Count, Rate
from vidjax.checks import check_features
from vidjax.layers import BatchNorm, call
from vidjax.networks.head import Classes, classifier, hidden_layer
from vidjax.types import Output


class Probe(nn.Module):
  """Averages features `[B, T, F]` over time, or pools them by a module, and classifies the result.

  Attributes:
    num_classes: K.
    hidden: width of a layer with ReLU before the classifier, or None for a linear probe.
    dropout: share of the features dropped before the classifier.
    normalise: standardise each feature by the batch, and by running statistics in tests, as linear probes of
      self-supervised networks do.
    pooling: what pools the features in place of the mean, such as `networks.attentive.AttentivePooler`: called as
      `(x, train)` on `[B, T, 1, 1, F]`, returns `[B, D]`.
  """

  num_classes: Classes
  hidden: Count | None = None
  dropout: Rate = 0.0
  normalise: bool = False
  pooling: nn.Module | None = None

  @nn.compact
  def __call__(self, features: jax.Array, train: bool) -> Output:
    """Features `[B, T, F]`, float, to `Output`; its `features` `[B, D]` are what the classifier sees."""
    check_features(self, features)
    x = features.mean(axis=1) if self.pooling is None else call(self.pooling, features[:, :, None, None], train)
    if self.normalise:
      x = BatchNorm(affine=False, name="norm")(x, train)
    if self.hidden is not None:
      x = nn.relu(hidden_layer(self.hidden, "hidden")(x))
    logits = classifier(self.num_classes, "classifier")(nn.Dropout(self.dropout, deterministic=not train)(x))
    return Output(logits, x)
