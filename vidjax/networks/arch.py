"""ARCH, the baseline that rtsae 5.1.2 compares with (Table 3): a clip network on a few frames a step under an LSTM.

The code of its authors (Xin et al. 2016, rtsae's [52]) was not published, and rtsae does not describe its 3D network.
This is a stand-in [I] of the same structure: any backbone reads the frames of a step, an LSTM reads the steps, and its
last state is classified. The units of the LSTM, the dropout and the recipe of `configs/arch.py` are ours.
"""

import flax.linen as nn
import jax

from vidjax.bounds import Count, Rate
from vidjax.checks import check_clip, place
from vidjax.errors import InputError
from vidjax.networks.head import Classes, backbone_map, classifier
from vidjax.recurrent import LSTM
from vidjax.types import Output


class ARCH(nn.Module):
  """Backbone on each step by itself, mean over its frames and pixels, LSTM over the steps, classifier.

  Attributes:
    backbone: `[B,T,H,W,C] -> [B,T',h,w,D]`, called as `(x, train)`, such as X3D.
    num_classes: K.
    frames: of a step, neighbours in the clip; rtsae: a keyframe and 5 more.
    units: of the LSTM, which has peepholes.
    dropout: share of the last state dropped before the classifier.
  """

  backbone: nn.Module
  num_classes: Classes
  frames: Count = 6
  units: Count = 256
  dropout: Rate = 0.5

  @nn.compact
  def __call__(self, clips: jax.Array, train: bool) -> Output:
    """Clips `[B, S * frames, H, W, C]`, float, to `Output`; its `features` `[B, units]` are the LSTM's last state.

    `apply.forward` adds `aux["frame_features"]`, `[B, S, D]`: what the LSTM reads.
    """
    check_clip(self, clips)
    batch, length, *pixels = clips.shape
    if length % self.frames:
      raise InputError(
        f"ARCH(frames={self.frames}) at {place(self)}: a clip of {length} frames is no whole number of steps; sample"
        f" them by vidjax.data.sampling.UniformSegments(frames_per_segment={self.frames})"
      )
    feature_map = backbone_map(self, self.backbone, clips.reshape(-1, self.frames, *pixels), train)
    per_step, channels = feature_map.shape[1], feature_map.shape[-1]
    feature_map = feature_map.reshape(batch, -1, *feature_map.shape[2:])
    if not self.is_initializing():  # adds no variable; Grad-CAM's place to take the gradient
      feature_map = self.perturb("feature_map", feature_map)
    self.sow("intermediates", "feature_map", feature_map)
    steps = feature_map.mean(axis=(-3, -2)).reshape(batch, -1, per_step, channels).mean(axis=2)
    if not self.is_initializing():
      self.sow("aux", "frame_features", steps)
    carry, _ = LSTM(self.units, peephole=True, name="lstm")(steps)
    x = nn.Dropout(self.dropout, deterministic=not train)(carry.h)
    return Output(classifier(self.num_classes, "classifier")(x), carry.h)
