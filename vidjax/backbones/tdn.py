"""Temporal Difference Network (TDN, Wang et al., CVPR 2021): a ResNet that sees what changes between frames."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.checks import check_fields
from vidjax.errors import ConfigError, InputError
from vidjax.plugins.insert import Insert
from vidjax.plugins.ltdm import LTDM, nearest
from vidjax.plugins.tim import TIM


def between_segments(reduction: int = 16, stages: tuple[int, ...] = (3, 4, 5)) -> tuple[Insert, ...]:
  """The long-term module: LTDM and a learnt shift after the first convolution of every block of res3 to res5.

  Args:
    reduction: channels to each of the bottleneck's.
    stages: numbers of the stages that have it.
  """
  return tuple(Insert(module, "middle", stages) for module in (LTDM(reduction), TIM()))


class TDN(nn.Module):
  """A ResNet on the middle frame of every segment, which also gets what changes around it and between segments.

  Frames of a segment lie one after the other: `[B, S * frames_per_segment, H, W, C]` becomes `[B, S, h, w, D]`. The
  short-term module (TDN Eq. 3-5) takes the differences of a segment's frames, at half the resolution, through a stem
  and a res2 of their own, and adds what comes out to the frames' maps after both. `between_segments` is the long-term
  one. Released code: the same, with biases before batch normalisation. Parameters are "frames" and "differences"; an
  ImageNet checkpoint fills both, the differences' first convolution with its mean over the colours, as released.

  Attributes:
    backbone: template with `parts()`, such as ResNet or MiniResNet; its inserts come after TDN's own.
    frames_per_segment: an odd number from 3 on; 5 in the paper.
    share: of the differences in both sums; released: 0.5 with 8 segments, 0.25 with more.
    reduction: of the LTDM.
  """

  backbone: nn.Module = ResNet(50)
  frames_per_segment: int = 5
  share: float = 0.5
  reduction: int = 16

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Clips to the backbone's feature map of every segment.

    Raises:
      ConfigError: a backbone it cannot take apart, a number of frames without a middle, a share that is none.
      InputError: an image, or frames that are no whole segments.
    """
    self._check(x)
    count = self.frames_per_segment
    segments = x.reshape(*x.shape[:-4], x.shape[-4] // count, count, *x.shape[-3:])
    changes = jnp.moveaxis(segments[..., 1:, :, :, :] - segments[..., :-1, :, :, :], -4, -2)
    changes = changes.reshape(*changes.shape[:-2], -1)  # channels: the colours of one difference after the other
    window = (min(2, x.shape[-3]), min(2, x.shape[-2]))
    changes = nn.avg_pool(changes, window, strides=window)

    differences = self.backbone.copy(name="differences", inserts=()).parts()
    later = tuple(int(name.removeprefix("res")) for name in differences if name not in ("stem", "res2"))
    inserts = (*between_segments(self.reduction, later), *getattr(self.backbone, "inserts", ()))
    frames = self.backbone.copy(name="frames", inserts=inserts)
    y = segments[..., count // 2, :, :, :]
    for name, part in frames.parts().items():
      y = part(y, train)
      if name in ("stem", "res2"):
        changes = differences[name](changes, train)
        y = (1 - self.share) * y + self.share * nearest(changes, *y.shape[-3:-1])
    return y

  @nn.nowrap
  def _check(self, x: jax.Array) -> None:
    check_fields(self)
    count, template = self.frames_per_segment, type(self.backbone).__name__
    if not isinstance(self.backbone, (ResNet, MiniResNet)) or getattr(self.backbone, "inside", ()):
      raise ConfigError(f"TDN(backbone={template}): takes ResNet or MiniResNet, without modules between the stages")
    if count < 3 or count % 2 == 0 or not 0 <= self.share <= 1:
      raise ConfigError(
        f"TDN(frames_per_segment={count}, share={self.share}): the frames must be an odd number from 3 on, the share "
        "lie between 0 and 1"
      )
    if x.ndim < 5 or x.shape[-4] % count:
      raise InputError(
        f"TDN at {'/'.join(self.path) or 'the top'} takes clips [B, {count} S, H, W, C] of S segments, got the shape "
        f"{x.shape}: sample {count} frames a segment (frames_per_segment={count})"
      )
