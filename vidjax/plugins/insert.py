"""Where a module goes in a backbone: `Insert(TSM(), "before")` in its blocks, `Inside(TSP(), "stem")` between parts.

The places of a block, in their order. Every backbone has those in bold; a ViT has all:

| place | where |
|---|---|
| ahead | on the stream of features, at the start of the block: the shortcut sees it, too |
| temporal_before | on what attention over time reads, where there is one: behind its normalisation |
| temporal | at the end of the branch of that attention |
| **before** | in the branch, ahead of the first convolution, or of the attention's normalisation |
| **residual** | at the end of the branch that is added to the shortcut; in a ViT, of the attention's branch |
| between | on the stream, between the attention and the MLP |
| **middle** | in the branch, right after the first convolution; in a ViT ahead of the MLP's normalisation |
| parallel | beside the MLP, on what it reads; what the module changes is added |
| mlp_residual | at the end of the MLP's branch |
| **after** | on the stream, after the whole block |
"""

import dataclasses
from typing import Literal

import flax.linen as nn
import jax

from vidjax.checks import check_fields
from vidjax.errors import ConfigError
from vidjax.layers import apply_in_order, call, copies

Place = Literal[
  "ahead",
  "temporal_before",
  "temporal",
  "before",
  "residual",
  "between",
  "middle",
  "parallel",
  "mlp_residual",
  "after",
]
CONVOLUTIONAL: tuple[Place, ...] = ("before", "middle", "residual", "after")
"""The places of a block of convolutions."""
Tokens = Literal["grid", "all", "prefix"]


@dataclasses.dataclass(frozen=True)
class Insert:
  """A plug-in and its sites. Deliberately not a pytree: it hashes and compares by value.

  Attributes:
    module: a template, called as `module(x, train)`, that keeps shape and dtype; every site gets its own copy.
    at: the place in the block, see above.
    stages: "all", or which, in the papers' numbering: 2 is res2, the first after the stem.
    blocks: "all", "last", "even" (0, 2, 4, ...: see `released_shift` of TSM), or numbers from 0 within each stage.
    tokens: what a transformer gives the module: the "grid" `[B, T, H, W, C]`; "all", the grid and, by a second call of
      the same copy, what is no grid (class token, registers) as `[B, T, P, 1, C]`; or that "prefix" alone. Where the
      clip has one class token for all frames, only modules that treat each token by itself may have it.
  """

  module: nn.Module
  at: Place
  stages: Literal["all"] | tuple[int, ...] = "all"
  blocks: Literal["all", "even", "last"] | tuple[int, ...] = "all"
  tokens: Tokens = "grid"

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
  return apply_to_tokens(inserts, at, x, None, train)[0]


def apply_to_tokens(
  inserts: tuple[Insert, ...], at: Place, grid: jax.Array, prefix: jax.Array | None, train: bool
) -> tuple[jax.Array, jax.Array | None]:
  """As `apply_inserts`, of a transformer's tokens.

  Args:
    inserts: those of the block.
    at: the place.
    grid: `[B, T, H, W, C]`.
    prefix: what is no grid, `[B, T, P, 1, C]`, with T = 1 where there is one for the whole clip; or None.
    train: passed on.

  Returns:
    Both, changed.
  """
  here = [insert for insert in inserts if insert.at == at]
  for insert, module in zip(here, copies([insert.module for insert in here], f"{at}_"), strict=True):
    if insert.tokens != "prefix":
      grid = _keeping(module, at, grid, train)
    if insert.tokens != "grid" and prefix is not None:
      prefix = _keeping(module, at, prefix, train)
  return grid, prefix


def _keeping(module: nn.Module, at: Place, x: jax.Array, train: bool) -> jax.Array:
  y = call(module, x, train, module.name or "")
  if (y.shape, y.dtype) != (x.shape, x.dtype):
    raise ConfigError(
      f"Insert({type(module).__name__}, {at!r}) makes {y.dtype} {y.shape} of {x.dtype} {x.shape}: a plug-in keeps both;"
      " what changes the clip goes before the backbone (representation) or between its parts (Inside)"
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


def check_inserts(
  inserts: tuple[Insert, ...],
  blocks: dict[int, int],
  places: tuple[Place, ...] = CONVOLUTIONAL,
  prefix: bool = False,
  per_frame: bool = True,
) -> None:
  """Raises ConfigError for an insert naming a stage, block, place or kind of token that a backbone lacks.

  Args:
    inserts: all of the backbone.
    blocks: number of a stage -> its number of blocks.
    places: of its blocks.
    prefix: whether there are tokens that are no grid.
    per_frame: whether each frame has them; where the clip has them once, nothing but a module that treats each token by
      itself may see them, whose class says so by `each_token = True`.
  """
  for insert in inserts:
    name = f"Insert({type(insert.module).__name__}, {insert.at!r})"
    if insert.at not in places:
      raise ConfigError(f"{name}: the backbone's blocks have no such place; they have {', '.join(places)}")
    if insert.tokens != "grid" and not prefix:
      raise ConfigError(f"{name} reads tokens={insert.tokens!r}: the backbone has no class token or register")
    if insert.tokens != "grid" and not per_frame and not getattr(insert.module, "each_token", False):
      raise ConfigError(
        f"{name} reads tokens={insert.tokens!r}, and the whole clip has one class token: the module would see a clip of"
        " one frame. Take attention='frame', or tokens='grid'"
      )
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
