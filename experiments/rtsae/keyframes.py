"""Do the gates find the key moment, and what is saved? RTSAE-DSCNN on `synthetic_actions/sparse` (rtsae 5.1).

`python -m experiments.rtsae.keyframes --out=runs/rtsae` trains the rows below, each with three seeds: kinds of gates
(5.1.1 C; "open" is the dense network), and position and depth of the RTSAE (Table 2, Fig. 7). For each run it says
how well the kept steps hit the key moment (F) after training without labels and after the joint phase, beside as many
steps spread evenly and drawn at random; the share of steps kept; and the accuracy, also where the same network reads
evenly spread or drawn steps (Fig. 12), or has half or all of the other steps put back (Fig. 13).

Rows of one seed have their first phases in common, which are copied.
"""

import pathlib
import shutil

import numpy as np

from experiments.rtsae.choices import accuracy, at_random, uniform, with_others
from experiments.table import Row, define_flags, run_rows, top1
from vidjax.command import run_main
from vidjax.run.folder import PHASES, read_phases
from vidjax.run.opened import open_run
from vidjax.tasks.keyframes import hits, kept_by, of_steps

CONFIG = "configs/rtsae_dscnn.py:mini"
GATES = ("soft", "mixed", "sparse", "open", "hard", "straight_through", "binary_neuron")
PLACES = tuple(f"p{place}-depth{depth}" for place in (1, 2, 3) for depth in (1, 2, 3) if (place, depth) != (2, 2))
ROWS = [Row(name, f"{CONFIG}-{name}") for name in (*GATES, *PLACES)]


def measure(folder: pathlib.Path) -> dict[str, float]:
  """The numbers of one run, in per cent but for F."""
  row, seed = folder.name.rsplit("_", 1)
  if row == "soft":
    share_phases(folder.parent, seed)
  before, after = (folder / name for name in read_phases(folder)[-2:])
  run = open_run(after)
  ways = {"uniform": uniform, "random": at_random, "half put back": with_others(0.5), "all put back": with_others(1.0)}
  found = accuracy(run, ways)
  return {
    **_hits(before, "before "),
    **_hits(after, ""),
    **top1(after),
    **{f"top-1 %, {name}": 100 * share for name, share in found.items()},
  }


def _hits(phase: pathlib.Path, prefix: str) -> dict[str, float]:
  """F of the kept steps of a phase, and of as many steps chosen blindly."""
  with np.load(phase / "evaluation" / "validation_scores.npz") as stored:
    attention = stored["attention"] if "attention" in stored else stored["scores"]
    key = of_steps(stored["key_frames"], attention.shape[1])
  kept, rng = kept_by(attention)[0], np.random.default_rng(0)
  drawn = np.mean([hits(at_random(kept, rng), key)["f"] for _ in range(20)])
  return {
    f"{prefix}F": hits(kept, key)["f"],
    f"{prefix}F uniform": hits(uniform(kept, rng), key)["f"],
    f"{prefix}F random": float(drawn),
    f"{prefix}kept %": 100 * float(kept.mean()),
  }


def share_phases(out: pathlib.Path, seed: str) -> None:
  """Copies what the other rows of a seed have in common with its first one: the streams, and with its gates all but
  the last phase."""
  first = out / f"soft_{seed}"
  for row in (*GATES[1:], *PLACES):
    folder = out / f"{row}_{seed}"
    if not folder.exists():
      for name in read_phases(first)[: 3 if row in GATES else 2]:
        shutil.copytree(first / name, folder / name)
      shutil.copy(first / PHASES, folder / PHASES)


def main(argv: list[str]) -> None:
  """The command."""
  run_rows(ROWS, measure)


if __name__ == "__main__":
  define_flags(epochs=1.0)
  run_main(main)
