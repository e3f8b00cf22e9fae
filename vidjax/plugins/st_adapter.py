"""ST-Adapter (Pan et al., NeurIPS 2022): a frozen image transformer learns time by depthwise convolutions."""

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax

from vidjax.bounds import Count, Odd
from vidjax.checks import check_clip, check_fields, checked
from vidjax.layers import conv
from vidjax.plugins.insert import Insert, Place

uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""PyTorch's initial values of linear layers, which the released adapters keep."""


class STAdapter(nn.Module):
  """`x + W_up f(DepthwiseConv3D(W_down x))` on a grid of tokens: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  The convolution starts at zero, kernel and bias, so that the tokens pass unchanged at first. Class tokens stay aside.
  `st_adapters` has the places.

  Attributes:
    width: channels inside.
    kernel: of the convolution, over time, height and width.
    activation: f; the released code has "none".
  """

  width: Count = 384
  kernel: tuple[Odd, Odd, Odd] = (3, 1, 1)
  activation: Literal["none", "gelu"] = "none"

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Returns the adapted clip; raises InputError on images."""
    check_fields(self)
    check_clip(self, x)
    clips = x.reshape(-1, *x.shape[-4:])
    y = nn.Dense(self.width, kernel_init=uniform, name="down")(clips)
    y = conv(
      self.width,
      self.kernel,
      padding=[(size // 2, size // 2) for size in self.kernel],
      feature_group_count=self.width,
      use_bias=True,
      kernel_init=nn.initializers.zeros,
      name="conv",
    )(y)
    y = nn.gelu(y, approximate=False) if self.activation == "gelu" else y
    return x + nn.Dense(x.shape[-1], kernel_init=uniform, name="up")(y).reshape(x.shape)


@checked
def st_adapters(width: Count = 384, places: Sequence[Place] = ("ahead", "between")) -> tuple[Insert, ...]:
  """An adapter before the attention and one before the MLP of each block of a ViT, both on the stream.

  The released code has both on Something-Something, and "between" alone on Kinetics. It trains adapters and classifier,
  `train.trained=("Adapter", "classifier")`, and normalises the mean of the frames' class tokens, not each: CLIP with
  `ViT(last_norm=False)` in `Recognizer(consensus="features", pooled_norm=1e-5)`.

  Args:
    width: as in STAdapter.
    places: of a block.
  """
  return tuple(Insert(STAdapter(width), place) for place in places)
