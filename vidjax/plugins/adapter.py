"""Adapters of AIM (Yang et al., ICLR 2023): a frozen image transformer learns time by small layers beside its own."""

from typing import ClassVar, Literal

import flax.linen as nn
import jax

from vidjax.bounds import Positive
from vidjax.checks import check_fields, checked, place
from vidjax.errors import ConfigError
from vidjax.plugins.insert import Insert


class Adapter(nn.Module):
  """`x + scale W_up GELU(W_down x)` of every token by itself: `[..., C] -> [..., C]`.

  W_up starts at zero, so that with `skip` the tokens pass unchanged at first, and without it nothing is added to the
  stream. `aim` has the places.

  Attributes:
    ratio: channels inside, as a share of those outside.
    skip: whether the input is added.
    scale: of what is added; the paper's s.
  """

  each_token: ClassVar[bool] = True

  ratio: Positive = 0.25
  skip: bool = True
  scale: Positive = 1.0

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Returns the adapted tokens; ConfigError where the ratio leaves no channel inside."""
    check_fields(self)
    channels = x.shape[-1]
    hidden = int(channels * self.ratio)
    if hidden < 1:
      raise ConfigError(
        f"Adapter(ratio={self.ratio}) at {place(self, x)}: {channels} channels leave 0; raise the ratio"
      )
    y = nn.gelu(nn.Dense(hidden, kernel_init=nn.initializers.normal(0.02), name="down")(x), approximate=False)
    y = self.scale * nn.Dense(channels, kernel_init=nn.initializers.zeros, name="up")(y)
    return x + y if self.skip else y


@checked
def aim(ratio: Positive = 0.25, scale: Positive = 0.5, temporal: Literal[1, 2] = 1) -> tuple[Insert, ...]:
  """The adapters of each block of `ViT(attention="reused")`: temporal, spatial, and joint beside the MLP.

  At the start the network equals the one with `attention="frame"`. The paper trains these, the embedding of time, the
  last normalisation and the classifier: `train.trained=("Adapter", "time_positions", "last/norm", "classifier")`.

  Args:
    ratio: as in Adapter.
    scale: of the joint adapter; the released config of Something-Something has 1.
    temporal: 2 has an adapter on what attention over time reads, too, as that config does.
  """
  ahead = (Insert(Adapter(ratio), "temporal_before", tokens="all"),)
  return (
    *ahead[: temporal - 1],
    Insert(Adapter(ratio, skip=False), "temporal", tokens="all"),
    Insert(Adapter(ratio), "residual", tokens="all"),
    Insert(Adapter(ratio, scale=scale), "parallel", tokens="all"),
  )
