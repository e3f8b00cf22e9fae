"""Temporal Transformer Network with Self-supervision (TTSN, Zhang et al. 2022): ETT and the reversal task, TSS."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.errors import ScopeParamShapeError

from vidjax.bounds import Count, Rate
from vidjax.checks import check_clip, check_fields
from vidjax.errors import ConfigError, InputError
from vidjax.layers import call
from vidjax.networks.head import Classes, backbone_map, classifier, pool
from vidjax.plugins.ett import ETT
from vidjax.types import Output

Way = Literal["AA", "RA", "AR", "RR"]
"""Gamma of TTSN Eq. 5, Table I. First letter, the clips that are reversed: All, or a Random half. Second, the channels:
All, or a Random one for each clip. Where all clips are reversed the label is a constant, which any head learns from its
bias alone."""

Head = Literal["clip", "frame"]


class _Reversal(nn.Module):
  """Whether a sequence `[B, N, c]` runs backwards: scores `[B, 2]` from all frames, or `[B, N, 2]` for each frame.

  "frame" is the released head, a scalar a frame through five linear layers; "clip" sees the N frames side by side.
  """

  head: Head
  width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    if self.head == "frame":
      for i in range(4):
        x = nn.Dense(self.width, name=f"layer{i}")(x)
    else:
      frames, x = x.shape[1], x.reshape(x.shape[0], -1)
      try:
        x = nn.relu(nn.Dense(self.width, name="layer0")(x))
      except ScopeParamShapeError as error:
        raise InputError(
          f"TTSN: TSS was initialised for clips of another number of frames than {frames}: use clips of that number, "
          "or initialise and train with this one"
        ) from error
      x = nn.relu(nn.Dense(self.width, name="layer1")(x))
    return nn.Dense(2, name="scores")(x)


class TTSN(nn.Module):
  """Frames' scores averaged over a clip, as Recognizer's, with ETT behind the backbone and TSS beside it in training.

  TSS reverses the order of clips' feature maps and asks for which ones it did (Algorithm 1): `aux` then holds
  `reversal_logits`, `[B, 2]` or by frame `[B, N, 2]`, and `reversed`, `[B]`, 1 for the reversed clips, for
  `losses.Reversal`. Elsewhere it does not run, and its parameters, under "reversal_head", may be missing
  (`python -m vidjax.export --format=safetensors --without=reversal_head`). `reversal` judges held-out clips.

  Attributes:
    backbone: `[B,T,H,W,C] -> [B,N,h,w,D]`, called as `(x, train)`.
    num_classes: K.
    representation: optional input module before it.
    ett: template of the temporal transformer, or None (Table VI).
    tss: way of choosing what to reverse, or None (Table VI).
    tss_head: "clip", or the released "frame", which cannot tell a sequence from its reverse: the order of the frames is
      nowhere in what it sees.
    tss_width: of the head's layers; 2048 in released code, 12.59 M parameters by frame.
    dropout: share of features dropped before the classifier.
  """

  backbone: nn.Module
  num_classes: Classes
  representation: nn.Module | None = None
  ett: nn.Module | None = ETT()
  tss: Way | None = "RR"
  tss_head: Head = "clip"
  tss_width: Count = 2048
  dropout: Rate = 0.8

  def setup(self):
    """Makes the head of TSS and the classifier."""
    check_fields(self)
    self.reversal_head = _Reversal(self.tss_head, self.tss_width)
    self.drop = nn.Dropout(self.dropout)
    self.classifier = classifier(self.num_classes)

  def __call__(self, clips: jax.Array, train: bool) -> Output:
    """Clips `[B, T, H, W, C]`, float, to `Output`; `aux["frame_logits"]` is `[B, N, K]`.

    Raises:
      ConfigError: an unknown way or head, dropout out of range.
      InputError: no clip; with TSS, a single frame, or in training a single clip where a half is to be reversed.
    """
    x = self._feature_map(clips, train)
    aux = {}
    if self.is_initializing() and self.tss:
      self.reversal_head(self._sequences(x, jnp.zeros(len(x), int)))
    elif train and self.tss:
      aux = self._self_supervise(x)
    if self.ett is not None:
      x = call(self.ett, x, train)
    if not self.is_initializing():  # Grad-CAM's place to take the gradient, as in Recognizer
      x = self.perturb("feature_map", x)
    self.sow("intermediates", "feature_map", x)
    features = pool(x, "logits")
    logits = self.classifier(self.drop(features, deterministic=not train))
    return Output(logits.mean(axis=1), features.mean(axis=1), {"frame_logits": logits, **aux})

  def reversal(self, clips: jax.Array, channel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """TSS on held-out clips as they are and reversed, as `network.apply(variables, ..., method="reversal")`.

    Args:
      clips: `[B, T, H, W, C]`, normalised floats.
      channel: int `[B]`, the channel each clip is judged by, where the way has one.

    Returns:
      The head's scores of both, each as `reversal_logits`; the second ones of a perfect head are higher in score 1.
    """
    if self.tss is None:
      raise ConfigError("TTSN.reversal: this network has no TSS (tss=None)")
    y = self._sequences(self._feature_map(clips, False), channel)
    return self.reversal_head(y), self.reversal_head(y[:, ::-1])

  def _feature_map(self, clips: jax.Array, train: bool) -> jax.Array:
    check_clip(self, clips)
    x = clips if self.representation is None else call(self.representation, clips, train)
    x = backbone_map(self, self.backbone, x, train)
    if self.tss and x.shape[1] < 2:
      raise InputError("TTSN: one frame has no order to reverse; sample 2 or more, or set tss=None")
    return x

  def _self_supervise(self, x: jax.Array) -> dict[str, jax.Array]:
    count, channels = x.shape[0], x.shape[-1]
    order_key, channel_key = jax.random.split(self.make_rng("dropout"))
    if self.tss in ("RA", "RR"):
      if count < 2:
        raise InputError(f"TTSN(tss={self.tss!r}) reverses half of a batch: train with 2 clips or more, or AA or AR")
      chosen = jax.random.permutation(order_key, jnp.arange(count) < count // 2)
    else:
      chosen = jnp.ones(count, bool)
    y = self._sequences(x, jax.random.randint(channel_key, (count,), 0, channels))
    y = jnp.where(chosen[:, None, None], y[:, ::-1], y)
    return {"reversal_logits": self.reversal_head(y), "reversed": chosen.astype(x.dtype)}

  def _sequences(self, x: jax.Array, channel: jax.Array) -> jax.Array:
    """The maps `[B, N, H, W, C]` averaged over space: `[B, N, C]`, or `[B, N, 1]` of one channel for each clip."""
    x = x.mean(axis=(2, 3))
    return jnp.take_along_axis(x, channel[:, None, None], axis=-1) if self.tss in ("AR", "RR") else x
