"""The layers of RTSAE-DSCNN (rtsae Table 1): sizes of kernels and channels, read from the shapes of the network.

A max pool has no parameters: its window is stated, and its channels are those of the convolution before it. The text of
the table gives 3 for p1 to p5, too. Ours are the 2x2 windows of VGG-16, which the streams are built upon (4.3).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from experiments.tables.command import run_table
from experiments.tables.row import Row, Stated, Table, numbers
from vidjax.command import config_with
from vidjax.recipe import make_recipe
from vidjax.train.phases import expand

COLUMNS = "kernel", "channels"
POOL = 2
"""Side of the windows of `vidjax.backbones.vgg.Stage`."""
CHANNELS = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}
LAYERS = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}


@functools.cache
def shapes() -> dict[str, tuple[int, ...]]:
  """Path -> shape of the parameters of the network on UCF101."""
  *_, phase = expand(config_with("configs/rtsae_dscnn.py:ucf101", ())).values()
  recipe = make_recipe(phase, [str(i) for i in range(101)])
  made: Any = jax.eval_shape(
    lambda: recipe.network.init(jax.random.key(0), jnp.zeros((1, *recipe.clip_shape)), False)["params"]
  )
  flat: Any = traverse_util.flatten_dict(made, sep="/")
  return {path: x.shape for path, x in flat.items()}


def convolution(path: str) -> dict[str, float]:
  """Side of the kernel and channels of a convolution."""
  height, _, _, channels = shapes()[f"{path}/kernel"]
  return {"kernel": height, "channels": channels}


def units(path: str) -> dict[str, float]:
  """Units of an LSTM or of a dense layer, by its kernel."""
  return {"channels": shapes()[path][0 if path.endswith("hidden") else -1]}


def pool(path: str) -> dict[str, float]:
  """Side of the window and channels of the max pool behind a convolution."""
  return {**convolution(path), "kernel": POOL}


def convolutions(net: str) -> tuple[Row, ...]:
  """The convolutions and pools of a stream, as the table names them."""
  start, rows = f"{net[0].upper()}-net", []
  for block, count in LAYERS.items():
    printed = numbers(COLUMNS, (3, CHANNELS[block]))
    paths = [f"streams/{net}/stage{block}/block{layer}/conv" for layer in range(count)]
    for layer, path in enumerate(paths, start=1):
      rows.append(Row(f"{start} c{block}{layer}", printed, cost=Stated(functools.partial(convolution, path))))
    cost = Stated(functools.partial(pool, paths[-1]))
    rows.append(Row(f"{start} p{block}", printed, cost=cost, reasons={"kernel": "VGG-16 has windows of 2x2"}))
  return tuple(rows)


def layer(name: str, printed: int, path: str) -> Row:
  """A layer with units."""
  return Row(name, {"channels": printed}, cost=Stated(functools.partial(units, path)))


TABLE = Table(
  "rtsae Table 1",
  (
    *convolutions("s_net"),
    *convolutions("t_net"),
    layer("rt1", 128, "rtsae/encoder/layers/lstm0/hidden"),
    layer("rt2", 128, "rtsae/encoder/layers/lstm1/hidden"),
    layer("S-net gap", 1024, "streams/s_net/last_conv/kernel"),
    layer("T-net gap", 1024, "streams/t_net/last_conv/kernel"),
    layer("fc7", 1024, "fusion/fc7/kernel"),
  ),
  units={"kernel": "kernel", "channels": "channels"},
  tolerance=0.0,
)

if __name__ == "__main__":
  run_table(TABLE)
