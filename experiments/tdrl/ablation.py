"""What PEM and the TD loss add to a temporal module (TDRL, Tables 3 and 4), and what the loss does to the features.

`python -m experiments.tdrl.ablation --out=runs/tdrl` at mini scale on `synthetic_actions/order`. Besides the accuracy
there is the mean cosine similarity of pairs of frames, where the first convolution of each block (one a stage) reads
them: of the half of the channels that the TD loss looks at, and of the other half.
"""

import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from experiments.table import Row, define_flags, run_rows, top1
from vidjax.analyse.channels import record
from vidjax.command import run_main
from vidjax.ops.similarity import frame_similarity
from vidjax.run.opened import open_run

CLIPS = 128
SITES = r"res[234]/block0/conv1$"
OPTIONS = {
  "tsn": "tm=none,enhance=none,td=none",
  "tsm": "tm=tsm,enhance=none,td=none",
  "tim": "enhance=none,td=none",
  "tim+mem": "enhance=mem,td=none",
  "tim+pem": "td=none",
  "tim+td": "enhance=none",
  "tim+pem+td": "td=after",
}
ROWS = [Row(name, f"configs/tdrl.py:mini,{options}") for name, options in OPTIONS.items()]


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


def main(argv: list[str]) -> None:
  """The command."""
  run_rows(ROWS, measure)


if __name__ == "__main__":
  define_flags(epochs=6.0)
  run_main(main)
