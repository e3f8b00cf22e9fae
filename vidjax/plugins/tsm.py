"""Temporal Shift Module (Lin et al., ICCV 2019; the temporal model of thesis ch. 3-5 and of TDRL)."""

from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import at_least
from vidjax.checks import check_clip, divided, place
from vidjax.errors import ConfigError
from vidjax.ops.temporal_shift import temporal_shift
from vidjax.plugins.insert import Insert


class TSM(nn.Module):
  """Shifts 1/`fold_div` of the channels forward and as many backward in time: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  Its place is "before". Where the collection "stream" is mutable, the clip continues the one before it: what the last
  frame hands on is kept there, `[B, 1, H, W, C // fold_div]` (`vidjax.apply.stream`).

  Attributes:
    fold_div: divisor of the channel count; C // fold_div channels move in each direction.
    bidirectional: False moves channels from the past only, for online recognition.
  """

  fold_div: Annotated[int, at_least(2)] = 8
  bidirectional: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Returns the shifted clip.

    Raises:
      ConfigError: no channel would move, or a stream is read whose next frame has not come yet.
      InputError: an image.
    """
    check_clip(self, x)
    fold = divided(self, x, "fold_div", first=2)
    shifted = temporal_shift(x, fold, self.bidirectional)
    if self.is_initializing() or not self.is_mutable_collection("stream"):
      return shifted
    if self.bidirectional:
      raise ConfigError(
        f"TSM at {place(self, x)} reads the next frame, which a stream does not have yet: train with"
        " bidirectional=False (configs/tsm.py:...,shift=past)"
      )
    last = self.variable("stream", "last", jnp.zeros, (*x.shape[:-4], 1, *x.shape[-3:-1], fold), x.dtype)
    shifted = shifted.at[..., :1, :, :, :fold].set(last.value.astype(x.dtype))
    last.value = x[..., -1:, :, :, :fold]
    return shifted


def tokshift(fold_div: int = 4) -> tuple[Insert, ...]:
  """TokShift (Zhang et al., ACM MM 2021): in a ViT, a quarter of the class token's channels from each side in time.

  Before the attention and before the MLP of each block, on the stream; the grid stays. Each frame needs a class token
  of its own: `ViT(attention="frame")`.

  Args:
    fold_div: as in TSM.
  """
  return tuple(Insert(TSM(fold_div), place, tokens="prefix") for place in ("ahead", "between"))


def released_shift(depth: int) -> Insert:
  """Where TSM's released code shifts a ResNet of this depth: in all blocks, from ResNet-101 on in every second one.

  Those are blocks 0, 2, 4 and so on of each stage, where res4 has 23 blocks or more. BQN's code shifts all blocks of
  ResNet-101, too. For MobileNetV2 see `vidjax.backbones.mobilenet.TSM_BLOCKS`.
  """
  return Insert(TSM(), "before", blocks="even" if depth >= 101 else "all")
