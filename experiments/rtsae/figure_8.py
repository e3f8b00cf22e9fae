"""The weights of Eq. 12, with coarse steps (rtsae Fig. 8).

Each weight is varied as in the figure: (a) tau with the rest at .1, (b) mu at the best tau, (c) lambda, (d) phi. The
point .1 of (c) is the row `b_mu_0.5`, that of (d) `c_lambda_0.05`. Two rows are ours: a smaller weight of the
reconstruction, which is a sum over all numbers of a step. The streams of a seed are trained once. To be short, both
later phases of the mini networks have batches of 16 clips, and the joint one half the steps of
`configs/rtsae_dscnn.py:mini`, so that these numbers are not those of Fig. 7.
"""

from experiments.rtsae.keyframes import CONFIG, measure
from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training

VALUES = {  # mu, tau, lambda, phi, and the weight of the reconstruction
  **{f"a_tau_{tau}": (0.1, tau, 0.1, 0.1, 1.0) for tau in (0.001, 0.02, 0.1)},
  **{f"b_mu_{mu}": (mu, 0.02, 0.1, 0.1, 1.0) for mu in (0.0, 0.5, 1.0)},
  **{f"c_lambda_{weight}": (0.5, 0.02, weight, 0.1, 1.0) for weight in (0.0, 0.05)},
  **{f"d_phi_{phi}": (0.5, 0.02, 0.05, phi, 1.0) for phi in (0.0, 0.8, 1.0)},
  **{f"reconstruction_{share}": (0.5, 0.02, 0.05, 0.8, share) for share in (0.25, 0.0625)},
}
NAMES = ("diversity", "low_rank", "output_l1", "gate_l1", "reconstruction")
FIRST = next(iter(VALUES))


SHORT = "--config.phases[2].train.batch_size=16", "--config.train.batch_size=16", "--config.train.steps=300"


def row(name: str) -> Row:
  """The weights of a row, in the third phase."""
  place = "--config.phases[2].blend.weights"
  flags = tuple(f"{place}.{key}={value}" for key, value in zip(NAMES, VALUES[name], strict=True))
  shares = None if name == FIRST else (FIRST, 2)
  mini = {"": Training(CONFIG, (*flags, *SHORT), shares=shares)}
  full = {"UCF101": Training("configs/rtsae_dscnn.py:ucf101", flags, shares=shares)}
  return Row(name, {}, "ours" if name.startswith("reconstruction") else "own", mini, full)


TABLE = Table("rtsae Fig. 8", tuple(row(name) for name in VALUES), measure)

if __name__ == "__main__":
  run_table(TABLE)
