"""What a network saves that skips the steps it does not choose, in multiply-accumulates: counted from shapes."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.analyse.cost import count_macs


def work(network: nn.Module, variables: Any, clip_shape: tuple[int, ...], kept: float) -> dict[str, float]:
  """Giga multiply-accumulates of a clip, before the gate and behind it.

  Args:
    network: with `skip`, `sizes`, `attend` and `represent`, such as `networks.rtsae_dscnn.RTSAEDSCNN`.
    variables: its own, or their shapes.
    clip_shape: `[T', H, W, C]`.
    kept: share of the steps that are kept, 0 to 1.

  Returns:
    Name -> number. The bound is the share of the dense work that stays where no step is kept.
  """
  made: Any = network
  clip = jax.ShapeDtypeStruct((1, *clip_shape), jnp.float32)

  def before(variables: Any, clips: jax.Array) -> Any:
    return made.apply(variables, clips, False, method="attend")

  maps, attention, _ = jax.eval_shape(before, variables, clip)
  steps = attention.shape[1]
  gate = count_macs(before, variables, clip) / 1e9
  behind = count_macs(lambda v, x: made.apply(v, x, False, method="represent"), variables, maps) / 1e9
  dense = count_macs(lambda v, x: made.clone(skip=False).apply(v, x, False).logits, variables, clip) / 1e9
  executed = min(size for size in made.sizes if size >= kept - 1e-9)
  ends = dense - gate - behind
  return {
    "GMAC per clip, dense": dense,
    "GMAC per clip, kept steps alone": gate + kept * behind + ends,
    "GMAC per clip, in the static size": gate + executed * behind + ends,
    "share of the dense work": (gate + kept * behind + ends) / dense,
    "bound: share if no step is kept": (gate + ends) / dense,
    "GMAC per step, before the gate": gate / steps,
    "GMAC per step, behind it": behind / steps,
  }
