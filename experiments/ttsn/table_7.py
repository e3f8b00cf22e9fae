"""Which clips TSS reverses (TTSN, Table VII). AA and AR reverse every clip: their heads answer "reversed" always.

"MB" is the printed memory of a GPU. "step MB" is what the compiled training step needs beside its state and its batch,
on the machine that measures. Ours average the maps over space before they choose channels and reverse, so that a random
choice has nothing to save. The two are not compared by rank.
"""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.ttsn import table_6
from experiments.ttsn.table_6 import full, mini
from vidjax.run.opened import Run, open_run
from vidjax.train.trainer import make_trainer

NOTE = "no difference is expected in 'step MB', as ours pools the maps first; the printed MB is all that a GPU held"


def step_megabytes(run: Run) -> float:
  """Temporary memory of the compiled training step of a run, in MB of 2^20 bytes; nothing is computed."""
  trainer, size = make_trainer(run.recipe, 1), run.recipe.settings.batch_size
  batch = {
    "video": jax.ShapeDtypeStruct((size, *run.clip_shape), np.uint8),
    "label": jax.ShapeDtypeStruct((size,), jnp.int32),
    "mask": jax.ShapeDtypeStruct((size,), bool),
  }
  step: Any = trainer.step  # jitted
  sizes = step.lower(trainer.layout, batch, trainer.key).compile().memory_analysis()
  return float("nan") if sizes is None else sizes.temp_size_in_bytes / 2**20


def measure(folder: pathlib.Path) -> dict[str, float]:
  """The numbers of Table VI, and the memory of a training step."""
  return {**table_6.measure(folder), "step MB": step_megabytes(open_run(folder))}


def row(way: str, top1: float, megabytes: float) -> Row:
  """A way; RR is the default, so that its mini training is that of Table VI."""
  small = mini("mini" if way == "RR" else f"mini,tss={way}")
  return Row(
    way, {"HMDB51 top-1": top1, "MB": megabytes}, mini=small, full=full(f"tss={way}"), note=NOTE * (way == "AA")
  )


TABLE = Table(
  "TTSN Table VII",
  (row("AA", 79.1, 13967), row("RA", 79.4, 13967), row("AR", 79.5, 13675), row("RR", 80.2, 13539)),
  measure,
  pairs=(("HMDB51 top-1", "top-1 %"),),
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
