"""Accuracy over the length l of a frame's token in the temporal transformer (TTSN, Fig. 3).

"down u" has channels / u for each of its H W positions, "up u" that many times more. The text names two of the figure's
points: l = 12,544 (down 8) is best, and l = 49 (down 2048: one channel) is too small. Which others there are is not in
the text: the rest is chosen here [I]. l is stated from the shapes of the networks, that of the paper's size by
`--scale=cost`.

The text varies l of "our TTSN", so that full trainings have TSS, and average the splits of Table VI, where down 8 is
the row of both parts. The mini network has 48 channels on maps of 6 x 6. It is trained without TSS, whose loss does
not see the token; its down 8 is the row ETT of Table VI.
"""

import functools
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

from experiments.tables.command import run_table
from experiments.tables.measures import top1
from experiments.tables.row import Row, Stated, Table, Training
from experiments.tables.shown import Measured
from experiments.thesis.full import FOLDS
from vidjax.analyse.pictures import save_figure
from vidjax.command import config_with
from vidjax.recipe import make_recipe
from vidjax.run.opened import open_run

ETT = "--config.model.ett."
FULL = "configs/ttsn.py:hmdb51,pretrain=kinetics,frames=16"
SHORTEST = "down 2048 (one channel)"
LENGTHS = {SHORTEST: (2048, 1), "down 8": (8, 1), "down 2": (2, 1), "down 1": (1, 1), "up 2": (1, 2)}
"""Compression and expansion."""
DEFAULT = 8, 1
"""Those of the config; they are not given as flags, so that the mini training is known as that of Table VI."""
MINI = {SHORTEST: (48, 1)}
PRINTED = {SHORTEST: 49, "down 8": 12544}


def training(config: str, lengths: tuple[int, int], folds: tuple[int, ...] = ()) -> Training:
  """A training with tokens of a length.

  Args:
    config: as `--config`.
    lengths: compression and expansion.
    folds: to average.
  """
  compression, expansion = lengths
  flags = f"{ETT}compression={compression}", f"{ETT}expansion={expansion}"
  return Training(config, flags if lengths != DEFAULT else (), folds=folds)


def token(params: Any) -> int:
  """l of a network, from the shape of its position encodings, `[3, N, H, W, channels]`."""
  return math.prod(params["ett"]["positions"].shape[2:])


def stated(name: str) -> dict[str, float]:
  """l of a row in the network of the paper's size, from shapes alone."""
  recipe = make_recipe(config_with(FULL, training(FULL, LENGTHS[name]).flags), [str(i) for i in range(51)])
  clip = jnp.zeros((1, *recipe.clip_shape))
  return {"l": token(jax.eval_shape(lambda: recipe.network.init(jax.random.key(0), clip, False)["params"]))}


def measure(folder: pathlib.Path) -> dict[str, float]:
  """Accuracy in per cent, and l of the network that was trained."""
  return {**top1(folder), "l": token(open_run(folder).variables["params"])}


def draw(path: pathlib.Path, table: Table, measured: Measured) -> None:
  """Draws the accuracy of each row, with the range over the seeds, over its l.

  Args:
    path: of the picture.
    table: the table.
    measured: of its rows; full trainings do not measure l, which is stated then.
  """
  found = {one.name: measured[one.name] for one in table.rows if "top-1 %" in measured.get(one.name, {})}
  if not found:
    return
  lengths = {name: columns["l"].mean if "l" in columns else stated(name)["l"] for name, columns in found.items()}
  names = sorted(found, key=lambda name: lengths[name])
  spreads = [found[name]["top-1 %"] for name in names]
  figure = Figure(figsize=(5, 3.2), dpi=150, layout="constrained")
  axes = figure.add_subplot()
  ends = [[s.mean - s.low for s in spreads], [s.high - s.mean for s in spreads]]
  axes.errorbar([lengths[name] for name in names], [s.mean for s in spreads], yerr=ends, fmt="o-", capsize=2)
  for name, spread in zip(names, spreads, strict=True):
    axes.annotate(name, (lengths[name], spread.mean), (4, 4), textcoords="offset points", fontsize=7)
  axes.set(xscale="log", xlabel="l, numbers of a frame's token", ylabel="top-1 in %")
  axes.margins(x=0.15, y=0.15)
  save_figure(figure, path)


def row(name: str) -> Row:
  """A length."""
  return Row(
    name,
    {"l": PRINTED[name]} if name in PRINTED else {},
    mini={"": training("configs/ttsn.py:mini,tss=off", MINI.get(name, LENGTHS[name]))},
    full={"HMDB51": training(FULL, LENGTHS[name], FOLDS)},
    cost=Stated(functools.partial(stated, name)),
    note="at mini scale this is down 48: one of its 48 channels" if name in MINI else "",
  )


TABLE = Table(
  "TTSN Fig. 3",
  tuple(map(row, LENGTHS)),
  measure,
  epochs=4.0,
  units={"l": "l"},
  tolerance=0.0,
  picture=draw,
)

if __name__ == "__main__":
  run_table(TABLE)
