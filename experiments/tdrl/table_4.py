"""What PEM and the TD loss add to a temporal module (TDRL, Tables 3 and 4), and what the loss does to the features.

Besides the accuracy there is the mean cosine similarity of pairs of frames, where the first convolution of each block
(one a stage) reads them: of the half of the channels that the TD loss looks at, and of the other half.
"""

import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from experiments.tables.command import run_table
from experiments.tables.measures import top1
from experiments.tables.row import Cost, Row, Table, Training
from vidjax.analyse.channels import record
from vidjax.ops.similarity import frame_similarity
from vidjax.run.opened import open_run

CLIPS = 128
SITES = r"res[234]/block0/conv1$"


def measure(folder: pathlib.Path) -> dict[str, float]:
  """Accuracy, and the similarity of the two halves over the first CLIPS validation clips."""
  run = open_run(folder)
  halves: list[np.ndarray] = []
  batches = run.eval_loader(batch_size=32).batches()
  for batch in itertools.islice(batches, CLIPS // 32):
    clips = run.normalise(jnp.asarray(batch["video"][:, 0]))
    maps, _ = record(run.network, run.variables, clips, SITES)
    halves += [_halves(before) for before, _ in maps.values()]
  first, rest = np.mean(halves, axis=0)
  return {**top1(folder), "similarity, first half": float(first), "other half": float(rest)}


def _halves(maps: jax.Array) -> np.ndarray:
  alike = np.asarray(frame_similarity(maps)).mean(0)
  return np.array([half.mean() for half in np.array_split(alike, 2)])


def row(name: str, options: str, kind: str = "own", **printed: float) -> Row:
  """A choice of parts, by the options of `configs/tdrl.py`.

  Args:
    name: of the row.
    options: of the config.
    kind: of the row.
    **printed: top1 and top5.
  """
  numbers = {f"SSv1 {name.replace('top', 'top-')}": number for name, number in printed.items()}
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
    row("TIM", "enhance=none,td=none", "rerun", top1=46.1, top5=74.7),
    row("TIM + MEM", "enhance=mem,td=none", "rerun", top1=47.4, top5=76.6),
    row("TIM + PEM", "td=none", top1=48.7, top5=77.8),
    row("TIM + TD loss", "enhance=none", top1=48.4, top5=77.3),
    row("TIM + PEM + TD loss", "td=after", top1=49.8, top5=78.1),
  ),
  measure,
  pairs=(("SSv1 top-1", "top-1 %"),),
  epochs=2.0,
)

if __name__ == "__main__":
  run_table(TABLE)
