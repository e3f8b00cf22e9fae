"""Layer-wise rate decay of a ViT (Clark et al., ICLR 2020; Bao et al., ICLR 2022): the nearer the input, the slower."""

from vidjax.backbones.vit import blocks_of
from vidjax.bounds import Count, Fraction
from vidjax.checks import checked
from vidjax.train.optimizer import Group

NO_DECAY = r"(^|/)(bias|scale(_\w+)?|positions|time_positions|class_token|registers|query_token)$"
"""Norms, biases, factors of layers, positions and tokens, which do not decay."""

TRANSFORMER_GROUPS = (Group(NO_DECAY, decay=0.0),)
"""Decay on kernels alone, for a ViT at one rate."""


@checked
def layer_decay(depth: Count = 12, decay: Fraction = 0.75) -> tuple[Group, ...]:
  """The groups of a ViT that is fine-tuned, for `make_optimizer`.

  The rate of block i of L, from 1, is times decay^(L + 1 - i), that of patches, positions and tokens times
  decay^(L + 1). What follows the blocks, and what is no part of the ViT, has the whole rate. Plug-ins of a block have
  the rate of their block. A training of a ViT of another depth is refused.

  Args:
    depth: L, blocks of the ViT.
    decay: of the rate from a block to the one before it.
  """
  remedy = f": layer_decay(depth={depth}) is for a ViT of {depth} blocks; give the number of those here"
  rates = {"stem": decay ** (depth + 1)}
  number = 0
  for stage, count in blocks_of(depth).items():
    for block in range(count):
      number += 1
      rates[f"stage{stage}/block{block}"] = decay ** (depth + 1 - number)
  groups = []
  for part, rate in rates.items():
    groups.append(Group(rf"(^|/){part}/(.*/)?{NO_DECAY.removeprefix('(^|/)')}", rate, decay=0.0))
    groups.append(Group(rf"(^|/){part}/", rate, rules=True, remedy=remedy))
  groups.append(Group(r"(^|/)stage\d+/block\d+/", rules=False, remedy=remedy))
  return (*groups, *TRANSFORMER_GROUPS)
