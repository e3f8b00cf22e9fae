"""Input representation, backbone and head: the network most methods of the five papers are a choice of parts for."""

import flax.linen as nn
import jax

from vidjax.errors import InputError
from vidjax.types import Output


class Recognizer(nn.Module):
  """Classifies clips frame by frame and averages the frames' scores (TSN's segmental consensus).

  Attributes:
    backbone: `[B,T,H,W,C] -> [B,T',h,w,D]`, called as `(x, train)`.
    num_classes: K.
    representation: optional input module `[B,T,H,W,C] -> [B,T',H',W',C']`, called as `(x, train)`.
    dropout: share of features dropped before the classifier.
  """

  backbone: nn.Module
  num_classes: int
  representation: nn.Module | None = None
  dropout: float = 0.5

  @nn.compact
  def __call__(self, clips: jax.Array, train: bool) -> Output:
    """Clips `[B, T, H, W, C]`, float, to `Output`; `aux["frame_logits"]` is `[B, T', K]`."""
    if clips.ndim != 5:
      raise InputError(f"Recognizer takes clips [B, T, H, W, C], got the shape {clips.shape}")
    x = clips if self.representation is None else self.representation(clips, train)
    feature_map = self.backbone(x, train)
    if not self.is_initializing():  # Grad-CAM's place to take the gradient; adds no variable
      feature_map = self.perturb("feature_map", feature_map)
    self.sow("intermediates", "feature_map", feature_map)
    features = feature_map.mean(axis=(-3, -2))
    x = nn.Dropout(self.dropout, deterministic=not train)(features)
    frame_logits = nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.001), name="classifier")(x)
    return Output(frame_logits.mean(axis=1), features.mean(axis=1), {"frame_logits": frame_logits})
