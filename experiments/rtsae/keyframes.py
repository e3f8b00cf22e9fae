"""Do the gates find the key moment, and what is saved? What the tables of RTSAE-DSCNN measure of a run.

On `synthetic_actions/sparse` it is known which frames matter; on the papers' data it is not, and F is left out. Numbers
say how well the kept steps hit the key moment (F) after training without labels ("before", of the joint phase) and
after the joint phase, beside as many steps spread evenly and drawn at random; the share of steps kept; and the
accuracy, also where the same network reads evenly spread or drawn steps (Fig. 12), or has half or all of the other
steps put back (Fig. 13).
"""

import pathlib

import numpy as np

from experiments.rtsae.choices import accuracy, at_random, uniform, with_others
from experiments.tables.measures import split, top1
from vidjax.run.folder import read_phases
from vidjax.run.opened import open_run
from vidjax.tasks.keyframes import hits, kept_by, of_steps

CONFIG = "configs/rtsae_dscnn.py:mini"


def measure(folder: pathlib.Path) -> dict[str, float]:
  """The numbers of one run, in per cent but for F."""
  *before, after = (folder / name for name in (read_phases(folder) or [""])[-2:])  # on HMDB51 there is one alone
  run = open_run(after)
  ways = {"uniform": uniform, "random": at_random, "half put back": with_others(0.5), "all put back": with_others(1.0)}
  found = accuracy(run, ways)
  return {
    **(_hits(before[0], "before ") if before else {}),
    **_hits(after, ""),
    **top1(after),
    **{f"top-1 %, {name}": 100 * share for name, share in found.items()},
  }


def _hits(phase: pathlib.Path, prefix: str) -> dict[str, float]:
  """The share of steps that a phase keeps; where key moments are known, F of these and of as many chosen blindly."""
  with np.load(phase / "evaluation" / f"{split(phase)}_scores.npz") as stored:
    attention = stored["attention"] if "attention" in stored else stored["scores"]
    key = of_steps(stored["key_frames"], attention.shape[1]) if "key_frames" in stored else None
  kept, rng = kept_by(attention)[0], np.random.default_rng(0)
  share = {f"{prefix}kept %": 100 * float(kept.mean())}
  if key is None:
    return share
  drawn = np.mean([hits(at_random(kept, rng), key)["f"] for _ in range(20)])
  return {
    f"{prefix}F": hits(kept, key)["f"],
    f"{prefix}F uniform": hits(uniform(kept, rng), key)["f"],
    f"{prefix}F random": float(drawn),
    **share,
  }
