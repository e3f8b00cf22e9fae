"""The weights of Eq. 12, at mini scale with coarse steps (rtsae Fig. 8).

`python -m experiments.rtsae.figure_8 --out=runs/figure_8` varies each weight as the figure does: (a) tau with the rest
at .1, (b) mu at the best tau, (c) lambda, (d) phi. Two rows are ours: a smaller weight of the reconstruction, which is
a sum over all numbers of a step. Numbers are those of `experiments.rtsae.keyframes`; the streams of a seed are trained
once.
"""

import pathlib
import shutil

from experiments.rtsae import keyframes
from experiments.table import Row, define_flags, run_rows
from vidjax.command import run_main
from vidjax.run.folder import PHASES, read_phases

VALUES = {  # mu, tau, lambda, phi, and the weight of the reconstruction
  **{f"a_tau_{tau}": (0.1, tau, 0.1, 0.1, 1.0) for tau in (0.001, 0.02, 0.1)},
  **{f"b_mu_{mu}": (mu, 0.02, 0.1, 0.1, 1.0) for mu in (0.0, 0.5, 1.0)},
  **{f"c_lambda_{weight}": (0.5, 0.02, weight, 0.1, 1.0) for weight in (0.0, 0.05)},
  **{f"d_phi_{phi}": (0.5, 0.02, 0.05, phi, 1.0) for phi in (0.0, 0.8)},
  **{f"reconstruction_{share}": (0.5, 0.02, 0.05, 0.8, share) for share in (0.25, 0.0625)},
}
NAMES = ("diversity", "low_rank", "output_l1", "gate_l1", "reconstruction")


def row(name: str) -> Row:
  """The flags of a row: weights of the third phase."""
  place = "--config.phases[2].blend.weights"
  return Row(name, keyframes.CONFIG, [f"{place}.{key}={value}" for key, value in zip(NAMES, VALUES[name], strict=True)])


ROWS = [row(name) for name in VALUES]


def measure(folder: pathlib.Path) -> dict[str, float]:
  """The numbers of one run; its streams go to the other rows of its seed."""
  first, seed = folder.name.rsplit("_", 1)
  for other in VALUES if first == next(iter(VALUES)) else ():
    target = folder.parent / f"{other}_{seed}"
    if not target.exists():
      for name in read_phases(folder)[:2]:
        shutil.copytree(folder / name, target / name)
      shutil.copy(folder / PHASES, target / PHASES)
  return keyframes.measure(folder)


def main(argv: list[str]) -> None:
  """The command."""
  run_rows(ROWS, measure)


if __name__ == "__main__":
  define_flags(epochs=1.0)
  run_main(main)
