"""TVNet (Fan et al., CVPR 2018): TV-L1 unrolled into a network whose derivatives and first flow are trained."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count, Positive
from vidjax.checks import place
from vidjax.errors import InputError
from vidjax.inputs.checks import Frames, split
from vidjax.ops.flow_stack import flow_stacks
from vidjax.ops.tvl1 import Kernels, differences

Initial = Literal["field", "uniform"]


class TVNet(nn.Module):
  """Stacks trainable flow of neighbouring frames: `[B, S frames, H, W, C] -> [B, S, H, W, 2 (frames - 1)]`.

  Untrained it equals `Flow` of the same settings. All pairs and iterations share the parameters: `image` `[2, 3]`,
  `forward` `[2, 2]` and `backward` `[2, 2]`, the taps of the derivatives along x and y, and `initial`, the flow that
  the iterations start from. Constant clips leave finite gradients. What Flow says of sizes and of pixels that are not
  finite holds here too.

  Attributes:
    frames: of a segment; 6 make the 5 stacked flows of the thesis (10 channels).
    bound: motion in pixels that becomes 1; faster motion is clipped to it.
    std: what the clip's channels were divided by, in frames of [0, 1].
    levels: 1, as the paper's TVNet-50, where motion of several pixels is out of reach; see `ops.tvl1.tvl1_flow`.
    warps: linearisations on each level.
    iterations: for each of them.
    initial: "field", a vector `[H, W, 2]` for every pixel (the paper), which ties the network to one size of frames,
      or "uniform", one vector `[2]` for all.
  """

  frames: Frames = 6
  bound: Positive = 20.0
  std: tuple[Positive, ...] = (0.229, 0.224, 0.225)
  levels: Count = 1
  warps: Count = 1
  iterations: Count = 50
  initial: Initial = "field"

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the stacks in [-1, 1]; raises ConfigError and InputError where segments or settings do not fit."""
    segments = split(self, x, self.frames)
    shape = (2,) if self.initial == "uniform" else (*x.shape[-3:-1], 2)
    if self.has_variable("params", "initial"):
      have = self.get_variable("params", "initial").shape
      if have != shape:
        raise InputError(
          f"TVNet(initial={self.initial!r}) at {place(self, x)}: frames of {x.shape[-3]} x {x.shape[-2]} pixels do not "
          f"fit the trained initial flow {have}; give frames of its size, or train with initial='uniform'"
        )
    start = differences()
    kernels = Kernels(*(self.param(name, lambda _, tap=tap: jnp.asarray(tap)) for name, tap in start._asdict().items()))
    initial = self.param("initial", nn.initializers.zeros, shape)
    solver = {"levels": self.levels, "warps": self.warps, "iterations": self.iterations}
    try:
      return flow_stacks(segments, self.std, self.bound, kernels=kernels, initial=initial, **solver)
    except InputError as error:
      raise type(error)(f"TVNet at {place(self, x)}: {error}") from None
