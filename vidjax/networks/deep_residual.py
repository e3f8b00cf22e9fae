"""Deep residual representation: what the windows of a clip are beyond their repeated motions (dte, second step).

Each window is embedded, and its cluster is taken away. The residuals of all windows make one vector, which a classifier
reads. The text says "the differences between the original data and its associated repetitive motion clusters" and no
more: how clusters are taken away, where, and how residuals become one vector is ours [I].
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count, Positive, Rate
from vidjax.checks import check_fields
from vidjax.layers import BatchNorm
from vidjax.networks.clusters import Clusters
from vidjax.networks.head import Classes, classifier, hidden_layer
from vidjax.networks.windows import Context, Embedding, Widths
from vidjax.ops.clusters import Assign, nearest, residual, vlad
from vidjax.recurrent import LSTM
from vidjax.types import Output


class DeepResidual(nn.Module):
  """Features `[B, T, F]` to class scores, over the embedding and the clusters of `embedding.DeepEmbedding`.

  Attributes:
    num_classes: number of classes.
    widths: as in `Embedding`.
    window: as in `Embedding`.
    stride: as in `Embedding`.
    context: as in `Embedding`.
    bias: as in `Embedding`.
    remove_mean: as in `Embedding`.
    clusters: K.
    dof: as in `Clusters`.
    assign: "hard" takes away the nearest centre, "soft" the mean of all centres by q.
    space: "embedded" takes centres from embeddings; "input" takes the mean of the training windows of a cluster from
      the mean of the window's features, as `train.clusters.InputCentres` fills them.
    aggregate: "vlad" adds residuals up by cluster, K * D numbers; "sequence" runs an LSTM of `units` over them; "mean"
      is their mean.
    units: of that LSTM.
    normalise: standardise the vector by the batch, and by running statistics in tests. VLAD's numbers are small.
    hidden: width of a layer with ReLU before the classifier, or None for a linear one.
    dropout: share of the vector dropped before the classifier.
  """

  num_classes: Classes
  widths: Widths = (128, 64)
  window: Count = 8
  stride: Count = 4
  context: Context = "last"
  bias: bool = False
  remove_mean: bool = False
  clusters: Count = 64
  dof: Positive = 1.0
  assign: Assign = "hard"
  space: Literal["embedded", "input"] = "embedded"
  aggregate: Literal["vlad", "sequence", "mean"] = "vlad"
  units: Count = 128
  normalise: bool = False
  hidden: Count | None = None
  dropout: Rate = 0.0

  @nn.compact
  def __call__(self, features: jax.Array, train: bool) -> Output:
    """Features `[B, T, F]` to `Output`; its `features` are the vector that the classifier sees.

    `aux` holds `embedding` and `residual` `[B, N, D]`, `assignment` and `target_distribution` `[B, N, K]` and `places`
    int `[B, N, L]`; in the input space `window_mean` `[B, N, F]`.
    """
    check_fields(self)
    shape = (self.widths, self.window, self.stride, self.context, self.bias, self.remove_mean)
    embedded = Embedding(*shape, name="embedding")(features)
    x = embedded.z
    centres, found = Clusters(self.clusters, self.dof, name="clusters")(x, train)
    q = found["assignment"]
    if self.space == "input":
      x = found["window_mean"] = embedded.windows.mean(axis=2)
      centres = self.param("input_centres", nn.initializers.normal(0.1), (self.clusters, x.shape[-1]))
    weights = nearest(q) if self.assign == "hard" else q
    left = residual(x, centres, weights)
    if self.aggregate == "vlad":
      y = vlad(x, centres, weights)
    elif self.aggregate == "sequence":
      y = LSTM(self.units, bias=self.bias, name="sequence")(left)[0].h
    else:
      y = left.mean(axis=1)
    if self.normalise:
      y = BatchNorm(affine=False, name="norm")(y, train)
    if self.hidden is not None:
      y = nn.relu(hidden_layer(self.hidden, "hidden")(y))
    logits = classifier(self.num_classes, "classifier")(nn.Dropout(self.dropout, deterministic=not train)(y))
    places = jnp.broadcast_to(embedded.places, (x.shape[0], *embedded.places.shape))
    return Output(logits, y, {"embedding": embedded.z, "residual": left, "places": places, **found})
