"""Where a module goes in a backbone: `Insert(TSM(), "before")` in its blocks, `Inside(TSP(), "stem")` between parts."""

import dataclasses
from typing import Literal

import flax.linen as nn
import jax

from vidjax.checks import check_fields
from vidjax.errors import ConfigError
from vidjax.layers import apply_in_order

Place = Literal["before", "middle", "residual", "after"]


@dataclasses.dataclass(frozen=True)
class Insert:
  """A plug-in and its sites. Deliberately not a pytree: it hashes and compares by value.

  Attributes:
    module: a template, called as `module(x, train)`, that keeps shape and dtype; every site gets its own copy.
    at: "before" the block's first convolution and "middle", right after it; "residual", at the end of the branch that
      is added to the shortcut; "after" the whole block.
    stages: "all", or which, in the papers' numbering: 2 is res2, the first after the stem.
    blocks: "all", "last", "even" (0, 2, 4, ...: see `released_shift` of TSM), or numbers from 0 within each stage.
  """

  module: nn.Module
  at: Place
  stages: Literal["all"] | tuple[int, ...] = "all"
  blocks: Literal["all", "even", "last"] | tuple[int, ...] = "all"

  def __post_init__(self):
    check_fields(self)
    for name in ("stages", "blocks"):  # a list does not hash
      value = getattr(self, name)
      object.__setattr__(self, name, value if isinstance(value, str) else tuple(value))

  def chosen(self, stage: int, block: int, num_blocks: int) -> bool:
    """Whether this block of this stage is one of the sites.

    Args:
      stage: number of the stage.
      block: number of the block in it, from 0.
      num_blocks: blocks of the stage.
    """
    if self.stages != "all" and stage not in self.stages:
      return False
    if isinstance(self.blocks, str):
      return {"all": True, "even": block % 2 == 0, "last": block == num_blocks - 1}[self.blocks]
    return block in self.blocks


@dataclasses.dataclass(frozen=True)
class Inside:
  """A module between two parts of a backbone, where, unlike a plug-in, it may change the number of frames.

  Attributes:
    module: a template, called as `module(x, train)` on `[..., T, H, W, C]`.
    after: the part of the backbone it follows; each backbone's docstring names its own.
  """

  module: nn.Module
  after: str

  def __post_init__(self):
    check_fields(self)


def apply_inserts(inserts: tuple[Insert, ...], at: Place, x: jax.Array, train: bool) -> jax.Array:
  """Applies, in order, those of a block's inserts that sit at this place; call it inside a compact method.

  Each copy is named by place and class (`before_TSM`), so the paths and initial values of the backbone's own parameters
  do not depend on what is plugged in. Raises ConfigError where shape or dtype do not stay.

  Args:
    inserts: those of the block.
    at: the place.
    x: what is there, `[..., T, H, W, C]`.
    train: passed on.
  """
  modules = [insert.module for insert in inserts if insert.at == at]
  y = apply_in_order(modules, x, train, f"{at}_")
  if modules and (y.shape, y.dtype) != (x.shape, x.dtype):
    names = ", ".join(type(module).__name__ for module in modules)
    raise ConfigError(
      f"Insert({names}, {at!r}) makes {y.dtype} {y.shape} of {x.dtype} {x.shape}: a plug-in keeps both; what changes "
      "the clip goes before the backbone (representation) or between its parts (Inside)"
    )
  return y


def apply_inside(inside: tuple[Inside, ...], part: str, x: jax.Array, train: bool) -> jax.Array:
  """Applies, in order, the modules that follow this part of the backbone, named as in `after_stem_TSP`.

  Args:
    inside: all modules of the backbone.
    part: name of the part that ends here.
    x: what it made.
    train: passed on.
  """
  return apply_in_order([module.module for module in inside if module.after == part], x, train, f"after_{part}_")


def inserts_of(inserts: tuple[Insert, ...], stage: int, block: int, num_blocks: int) -> tuple[Insert, ...]:
  """The inserts that have a site in this block.

  Args:
    inserts: all of the backbone.
    stage: number of the stage.
    block: number of the block in it, from 0.
    num_blocks: blocks of the stage.
  """
  return tuple(insert for insert in inserts if insert.chosen(stage, block, num_blocks))


def check_inserts(inserts: tuple[Insert, ...], blocks: dict[int, int]) -> None:
  """Raises ConfigError for an insert naming a stage or block that a backbone of {stage: number of blocks} lacks.

  Args:
    inserts: all of the backbone.
    blocks: number of a stage -> its number of blocks.
  """
  for insert in inserts:
    stages = set(blocks if isinstance(insert.stages, str) else insert.stages)
    numbers = set() if isinstance(insert.blocks, str) else set(insert.blocks)
    sites = [
      (stage, i)
      for stage in stages & set(blocks)
      for i in range(blocks[stage])
      if insert.chosen(stage, i, blocks[stage])
    ]
    idle = set() if isinstance(insert.stages, str) else stages - {stage for stage, _ in sites}
    if not sites or idle or numbers - {i for _, i in sites}:
      raise ConfigError(
        f"Insert({type(insert.module).__name__}, stages={insert.stages}, blocks={insert.blocks!r}) has no site for "
        f"some number it gives: the backbone has stages with so many blocks: {blocks}"
      )


def check_inside(inside: tuple[Inside, ...], parts: tuple[str, ...]) -> None:
  """Raises ConfigError for a module whose place is none of the backbone's parts.

  Args:
    inside: all modules of the backbone.
    parts: names of its parts.
  """
  for module in inside:
    if module.after not in parts:
      raise ConfigError(f"Inside(after={module.after!r}): the backbone has no such part; it has {', '.join(parts)}")
