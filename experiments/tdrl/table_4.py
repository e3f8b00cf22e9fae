"""What PEM and the TD loss add to a temporal module (TDRL, Tables 3 and 4), and what the loss does to the features.

Besides the accuracy there is the mean cosine similarity of pairs of frames, where the first convolution of the last
block of each of the last three stages reads them, as the TD loss does: of the half of the channels that the loss looks
at, and of the other half. There is also the training accuracy of section 4.4: here the mean over the batches of the
last epoch that the log holds.
"""

import itertools
import pathlib
import re
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from experiments.tables.command import run_table
from experiments.tables.measures import top1, training_accuracy
from experiments.tables.row import Cost, Row, Table, Training
from vidjax.analyse.channels import record
from vidjax.ops.similarity import frame_similarity
from vidjax.run.opened import open_run

CLIPS = 128
STAGES = 3
"""The last stages of a backbone, in whose last blocks the TD loss stands."""


def sites(paths: Iterable[str]) -> str:
  """A regular expression of where the TD loss stands.

  Args:
    paths: of parameters, such as "backbone/res3/block0/conv1/kernel".
  """
  blocks = {(int(stage), int(block)) for stage, block in re.findall(r"res(\d+)/block(\d+)/conv1", " ".join(paths))}
  last = dict(sorted(blocks))  # stage -> its last block
  return "|".join(f"res{stage}/block{block}/conv1$" for stage, block in list(last.items())[-STAGES:])


def measure(folder: pathlib.Path) -> dict[str, float]:
  """Accuracies, and the similarity of the two halves over the first CLIPS validation clips."""
  run = open_run(folder)
  where = sites(traverse_util.flatten_dict(dict(run.variables["params"]), sep="/"))
  halves: list[np.ndarray] = []
  batches = run.eval_loader(batch_size=32).batches()
  for batch in itertools.islice(batches, CLIPS // 32):
    clips = run.normalise(jnp.asarray(batch["video"][:, 0]))
    maps, _ = record(run.network, run.variables, clips, where)
    halves += [_halves(before) for before, _ in maps.values()]
  first, rest = np.mean(halves, axis=0)
  similarity = {"similarity, first half": float(first), "other half": float(rest)}
  return {**top1(folder), **similarity, "training top-1 %": training_accuracy(folder)}


def _halves(maps: jax.Array) -> np.ndarray:
  alike = np.asarray(frame_similarity(maps)).mean(0)
  return np.array([half.mean() for half in np.array_split(alike, 2)])


def row(name: str, options: str, kind: str = "own", **printed: float) -> Row:
  """A choice of parts, by the options of `configs/tdrl.py`.

  Args:
    name: of the row.
    options: of the config.
    kind: of the row.
    **printed: top1, top5 and training_top1.
  """
  columns = {"top1": "SSv1 top-1", "top5": "SSv1 top-5", "training_top1": "SSv1 training top-1"}
  numbers = {columns[name]: number for name, number in printed.items()}
  full = {"SSv1": Training(f"configs/tdrl.py:ssv1,{options}")}
  mini = {"": Training(f"configs/tdrl.py:mini,{options}")}
  return Row(name, numbers, kind, mini, full, Cost(f"configs/tdrl.py:ssv1,{options}", (), 174))  # pyright: ignore


TABLE = Table(
  "TDRL Tables 3 and 4",
  (
    row("TSN", "tm=none,enhance=none,td=none", "ours"),
    row("TSM", "tm=tsm,enhance=none,td=none", "rerun", top1=45.6, top5=74.2),
    row("TSM + PEM", "tm=tsm,td=none", top1=48.1, top5=77.4),
    row("TSM + TD loss", "tm=tsm,enhance=none", top1=47.5, top5=76.8),
    row("TSM + PEM + TD loss", "tm=tsm", top1=48.4, top5=77.4),
    row("TIM", "enhance=none,td=none", "rerun", top1=46.1, top5=74.7, training_top1=79.03),
    row("TIM + MEM", "enhance=mem,td=none", "rerun", top1=47.4, top5=76.6),
    row("TIM + PEM", "td=none", top1=48.7, top5=77.8, training_top1=77.98),
    row("TIM + TD loss", "enhance=none", top1=48.4, top5=77.3, training_top1=74.45),
    row("TIM + PEM + TD loss", "td=after", top1=49.8, top5=78.1),
  ),
  measure,
  pairs=(
    ("SSv1 top-1", "top-1 %"),
    ("SSv1 top-5", "top-5 %"),
    ("SSv1 training top-1", "training top-1 %"),
  ),
  epochs=2.0,
)

if __name__ == "__main__":
  run_table(TABLE)
