"""Input representation, backbone and head: the network most methods of the five papers are a choice of parts for."""

from typing import Annotated, Any

import flax.linen as nn
import jax

from vidjax.bounds import Bound, Count, Positive, Rate
from vidjax.checks import check_clip
from vidjax.layers import call
from vidjax.networks.head import Consensus, backbone_map, classifier, hidden_layer, pool, pooled
from vidjax.types import Output


class Recognizer(nn.Module):
  """Classifies clips frame by frame and averages the frames' scores (TSN's segmental consensus), or the whole clip.

  Attributes:
    backbone: `[B,T,H,W,C] -> [B,T',h,w,D]`, called as `(x, train)`.
    num_classes: K; 0 leaves the classifier out, so that there are features and no logits.
    representation: optional input module `[B,T,H,W,C] -> [B,T',H',W',C']`, called as `(x, train)`.
    dropout: share of features dropped before the classifier.
    consensus: see `head.Consensus`.
    hidden: width of a layer with ReLU, without bias, between the pooled features and the dropout (X3D: 2048), or None.
    pooling: what pools the map in place of the mean, such as `networks.attentive.AttentivePooler`: each frame's
      map with consensus "logits", else the clip's.
    pooled_norm: epsilon of a LayerNorm on the pooled features (VideoMAE), or None.
  """

  backbone: nn.Module
  num_classes: Annotated[int, Bound("an int of at least 0; leave it out for those of the data", lambda n: n >= 0)]
  representation: nn.Module | None = None
  dropout: Rate = 0.5
  consensus: Consensus = "logits"
  hidden: Count | None = None
  pooling: nn.Module | None = None
  pooled_norm: Positive | None = None

  @nn.compact
  def __call__(self, clips: jax.Array, train: bool) -> Output:
    """Clips `[B, T, H, W, C]`, float, to `Output`; `aux["frame_logits"]` is `[B, T', K]`, with consensus "logits".

    `apply.forward` adds `aux["frame_features"]`, `[B, T', D]` of each Recognizer of the network: with consensus
    "logits" the features of each frame, whose mean over time `features` is, else the map's mean over each frame.
    """
    check_clip(self, clips)
    x = clips if self.representation is None else call(self.representation, clips, train)
    feature_map = backbone_map(self, self.backbone, x, train)
    marked = getattr(self.backbone, "marks_map", False)  # a map of its own, where this one is a class token
    if not self.is_initializing():  # neither adds a variable; Grad-CAM's place to take the gradient
      feature_map = feature_map if marked else self.perturb("feature_map", feature_map)
    if not marked:
      self.sow("intermediates", "feature_map", feature_map)
    features = pooled(self.pooling, feature_map, self.consensus, train)
    if self.pooled_norm is not None:
      features = nn.LayerNorm(self.pooled_norm, name="pooled_norm")(features)
    if self.hidden is not None:
      features = nn.relu(hidden_layer(self.hidden, "hidden")(features))
    if not self.is_initializing():
      self.sow("aux", "frame_features", features if self.consensus == "logits" else pool(feature_map, "logits"))
    if not self.num_classes:
      no_scores: Any = None
      return Output(no_scores, features.mean(axis=1) if self.consensus == "logits" else features)
    x = nn.Dropout(self.dropout, deterministic=not train)(features)
    logits = classifier(self.num_classes, "classifier")(x)
    if self.consensus == "logits":
      return Output(logits.mean(axis=1), features.mean(axis=1), {"frame_logits": logits})
    return Output(logits, features)
