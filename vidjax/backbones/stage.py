"""A stage of a backbone: blocks one after the other, at one resolution, with the plug-ins that sit in them."""

import dataclasses

import flax.linen as nn
import jax

from vidjax.plugins.insert import Insert, inserts_of


class Stage(nn.Module):
  """The blocks of one stage, named block0, block1 and so on.

  Attributes:
    templates: the blocks, called as `block(x, train)`. The stage fills their field `inserts`; all others are the
      backbone's to set, strides too.
    number: the stage's number in the papers, 2 for res2; inserts refer to it.
    inserts: plug-ins and their sites; each block gets its own.
    remat: recompute each block in the backward pass instead of keeping its activations.
  """

  templates: tuple[nn.Module, ...]
  number: int
  inserts: tuple[Insert, ...] = ()
  remat: bool = False

  def setup(self):
    """Makes the blocks."""
    for i, template in enumerate(self.templates):
      block = template.copy(inserts=inserts_of(self.inserts, self.number, i, len(self.templates)))
      setattr(self, f"block{i}", _recomputed(block) if self.remat else block)

  def blocks(self) -> list[nn.Module]:
    """The blocks in their order."""
    return [getattr(self, f"block{i}") for i in range(len(self.templates))]

  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to what the last block gives."""
    for block in self.blocks():
      x = block(x, train)
    return x


def _recomputed(block: nn.Module) -> nn.Module:
  """The same block, of a class that recomputes its activations in the backward pass."""
  fields = [field.name for field in dataclasses.fields(block) if field.init and field.name not in ("parent", "name")]
  return nn.remat(type(block), static_argnums=(2,))(**{name: getattr(block, name) for name in fields})
