"""Input representation, backbone and head: the network most methods of the five papers are a choice of parts for."""

from typing import Literal, get_args

import flax.linen as nn
import jax

from vidjax.errors import ConfigError, InputError
from vidjax.types import Output

Consensus = Literal["logits", "features"]


class Recognizer(nn.Module):
  """Classifies clips frame by frame and averages the frames' scores (TSN's segmental consensus), or the whole clip.

  Attributes:
    backbone: `[B,T,H,W,C] -> [B,T',h,w,D]`, called as `(x, train)`.
    num_classes: K.
    representation: optional input module `[B,T,H,W,C] -> [B,T',H',W',C']`, called as `(x, train)`.
    dropout: share of features dropped before the classifier.
    consensus: what is averaged over time: "logits" of every frame, or "features", classified once (X3D and other
      networks whose features see the whole clip).
    hidden: width of a layer with ReLU, without bias, between the pooled features and the dropout (X3D: 2048), or None.
  """

  backbone: nn.Module
  num_classes: int
  representation: nn.Module | None = None
  dropout: float = 0.5
  consensus: Consensus = "logits"
  hidden: int | None = None

  @nn.compact
  def __call__(self, clips: jax.Array, train: bool) -> Output:
    """Clips `[B, T, H, W, C]`, float, to `Output`; `aux["frame_logits"]` is `[B, T', K]`, with consensus "logits"."""
    if clips.ndim != 5:
      raise InputError(f"Recognizer takes clips [B, T, H, W, C], got the shape {clips.shape}")
    if self.consensus not in get_args(Consensus):
      raise ConfigError(f"Recognizer(consensus={self.consensus!r}): must be one of {', '.join(get_args(Consensus))}")
    x = clips if self.representation is None else self.representation(clips, train)
    feature_map = self.backbone(x, train)
    if not self.is_initializing():  # Grad-CAM's place to take the gradient; adds no variable
      feature_map = self.perturb("feature_map", feature_map)
    self.sow("intermediates", "feature_map", feature_map)
    by_frame = self.consensus == "logits"
    features = feature_map.mean(axis=(-3, -2) if by_frame else (-4, -3, -2))
    if self.hidden is not None:
      he = nn.initializers.variance_scaling(2, "fan_out", "normal")
      features = nn.relu(nn.Dense(self.hidden, use_bias=False, kernel_init=he, name="hidden")(features))
    x = nn.Dropout(self.dropout, deterministic=not train)(features)
    logits = nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.001), name="classifier")(x)
    if by_frame:
      return Output(logits.mean(axis=1), features.mean(axis=1), {"frame_logits": logits})
    return Output(logits, features)
