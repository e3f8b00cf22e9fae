"""Joint training of PWTP and a network (thesis Table 3.9): accuracy, and what the projection leaves on held-out clips.

The thesis expects ENoPR to fall under joint training, and MGDA to reach a lower one than the scale scheduler at equal
accuracy. At mini scale this is the quickstart's network on `synthetic_actions/order`.
"""

import pathlib

from experiments.tables.command import run_table
from experiments.tables.measures import last, top1
from experiments.tables.row import Row, Table, Training
from vidjax.run.folder import read_phases


def measure(folder: pathlib.Path) -> dict[str, float]:
  """Accuracy and ENoPR, both on validation clips; of two phases, ENoPR of the first."""
  return {**top1(folder), "ENoPR": last(folder / (read_phases(folder) or [""])[0], "validation/loss/projection")}


def joint(blend: str, *flags: str) -> dict[str, Training]:
  """A mini training whose losses are joined by one of the blends of `configs/dan.py`."""
  return {"": Training(f"configs/dan.py:mini,blend={blend}", flags)}


def fixed(alpha: float) -> dict[str, Training]:
  """The projection's loss weighs alpha, the classification's the rest."""
  weights = (
    f"--config.blend.weights.{name}={weight}" for name, weight in (("projection", alpha), ("classification", 1 - alpha))
  )
  return joint("fixed", *weights)


def scale(gamma: float, lam: float) -> dict[str, Training]:
  """The scale scheduler, Eq. 3.19."""
  place = "--config.blend.weights"
  names = "projection", "classification"
  return joint("scale", *(f"{place}.{name}.{key}" for name in names for key in (f"gamma={gamma}", f"lam={lam}")))


TABLE = Table(
  "thesis Table 3.9",
  (
    Row("RGB", {"SSv1 top-1": 38.3}, "rerun", {"": Training("configs/inputs.py:rgb")}),
    Row(
      "separate",
      {"SSv1 top-1": 39.4, "SSv1 ENoPR": 0.17},
      mini=joint("separate", "--config.phases[0].train.epochs=4."),
      note="two trainings as long as a joint one each: the projection whole, then the network, PWTP held",
    ),
    Row("alpha=0", {"SSv1 top-1": 39.2, "SSv1 ENoPR": 0.43}, mini=fixed(0.0)),
    Row("alpha=.5", {"SSv1 top-1": 40.1, "SSv1 ENoPR": 0.34}, mini=fixed(0.5)),
    Row("alpha=.9", {"SSv1 top-1": 39.3, "SSv1 ENoPR": 0.22}, mini=fixed(0.9)),
    Row("scale(.1,.1)", {"SSv1 top-1": 40.7, "SSv1 ENoPR": 0.57}, mini=scale(0.1, 0.1)),
    Row("scale(.2,.3)", {"SSv1 top-1": 40.7, "SSv1 ENoPR": 0.56}, mini=scale(0.2, 0.3)),
    Row("scale(.5,.3)", {"SSv1 top-1": 40.4, "SSv1 ENoPR": 0.55}, mini=scale(0.5, 0.3)),
    Row("MGDA", {"SSv1 top-1": 41.0, "SSv1 ENoPR": 0.27}, mini=joint("mgda")),
  ),
  measure,
  pairs=(("SSv1 top-1", "top-1 %"), ("SSv1 ENoPR", "ENoPR")),
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
