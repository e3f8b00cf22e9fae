"""The sizes of ResNet-50 with RNL (thesis Table 4.1): frames, side and channels behind each stage, and its blocks.

Read from the shapes of `configs/attention.py:ssv1,attention=rnl`; `python -m vidjax.analyse cost` lists every module.
"""

import functools
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiments.tables.command import run_table
from experiments.tables.row import Row, Stated, Table, numbers
from vidjax.command import config_with
from vidjax.recipe import make_recipe

COLUMNS = "frames", "side", "channels", "blocks"
PRINTED = {
  "conv1": (8, 112, 64, None),
  "pool1": (8, 56, 64, None),
  "res2": (8, 56, 256, 3),
  "res3": (8, 28, 512, 4),
  "res4": (8, 14, 1024, 6),
  "res5": (8, 7, 2048, 3),
}


@functools.cache
def sizes() -> dict[str, dict[str, float]]:
  """Part of the network -> its numbers; the stem is conv1 and pool1."""
  recipe = make_recipe(config_with("configs/attention.py:ssv1,attention=rnl", ()), [str(i) for i in range(174)])
  backbone: Any = recipe.network.backbone

  def run(module: Any, x: jax.Array) -> dict[str, jax.Array]:
    found = {}
    for name, part in module.parts().items():
      found[name] = x = part(x, False)
    return found

  clip = jnp.zeros((1, *recipe.clip_shape))
  make = nn.init_with_output(run, backbone, mutable=True, capture_intermediates=lambda module, _: module.name == "conv")
  outputs, variables = jax.eval_shape(lambda: make(jax.random.key(0), clip))
  (conv1,) = variables["intermediates"]["stem"]["conv"]["__call__"]
  result = {"conv1": {"frames": conv1.shape[1], "side": conv1.shape[2], "channels": conv1.shape[-1]}}
  for name, x in outputs.items():
    blocks = [part for part in variables["params"][name] if re.fullmatch(r"block\d+", part)]
    result["pool1" if name == "stem" else name] = {
      "frames": x.shape[1],
      "side": x.shape[2],
      "channels": x.shape[-1],
      "blocks": len(blocks),
    }
  return result


def row(name: str) -> Row:
  """A stage."""
  return Row(name, numbers(COLUMNS, PRINTED[name]), cost=Stated(lambda: sizes()[name]))


TABLE = Table("thesis Table 4.1", tuple(map(row, PRINTED)), units={column: column for column in COLUMNS}, tolerance=0.0)

if __name__ == "__main__":
  run_table(TABLE)
