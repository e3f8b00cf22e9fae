"""Joint training of PWTP and a network (thesis Table 3.9): accuracy, and what the projection leaves on held-out clips.

The thesis expects ENoPR to fall under joint training, and MGDA to reach a lower one than the scale scheduler at equal
accuracy. At mini scale this is the quickstart's network on 3 segments of `synthetic_actions/order:48`. MGDA is the row
of T = 8 and D = 1 in Table 3.10, and that of stride 8, k = 9 and C' = 24 in Table 3.11, by the same command.
"""

import pathlib

from experiments.tables.command import run_table
from experiments.tables.measures import top1, validated
from experiments.tables.row import Row, Table, Training
from experiments.thesis.mini import LONG, dan, dan_full
from vidjax.run.folder import read_phases


def measure(folder: pathlib.Path) -> dict[str, float]:
  """Accuracy and ENoPR, both on validation clips; of two phases, ENoPR of the first."""
  return {**top1(folder), "ENoPR": validated(folder / (read_phases(folder) or [""])[0], "loss/projection")}


def row(name: str, top1: float, enopr: float, blend: str, *flags: str, note: str = "") -> Row:
  """A way to join the losses, as `configs/dan.py` names it; on the paper's data with X3D-XS.

  Args:
    name: of the row.
    top1: printed.
    enopr: printed.
    blend: option of the config; "mgda" is its default.
    *flags: that change it.
    note: what the reader must know.
  """
  mini, full = dan(), {"SSv1": dan_full()["SSv1"]}
  if blend != "mgda":
    mini = {"": Training(f"configs/dan.py:mini,blend={blend}", (LONG, *flags))}
    full = {"SSv1": Training(f"configs/dan.py:ssv1,backbone=x3d_xs,blend={blend}", flags)}
  return Row(name, {"SSv1 top-1": top1, "SSv1 ENoPR": enopr}, "own", mini, full, note=note)


def fixed(alpha: float) -> tuple[str, ...]:
  """The projection's loss weighs alpha, the classification's the rest."""
  weights = {"projection": alpha, "classification": 1 - alpha}
  return "fixed", *(f"--config.blend.weights.{name}={weight:.2g}" for name, weight in weights.items())


def scale(gamma: float, lam: float) -> tuple[str, ...]:
  """The scale scheduler, Eq. 3.19."""
  names = "projection", "classification"
  pairs = f"gamma={gamma}", f"lam={lam}"
  return "scale", *(f"--config.blend.weights.{name}.{pair}" for name in names for pair in pairs)


TABLE = Table(
  "thesis Table 3.9",
  (
    Row(
      "RGB",
      {"SSv1 top-1": 38.3},
      "rerun",
      {"": Training("configs/inputs.py:rgb", (LONG, "--config.sampler.num_segments=3"))},
      {"SSv1": Training("configs/tsm.py:ssv1,backbone=x3d_xs")},
    ),
    row(
      "separate",
      39.4,
      0.17,
      "separate",
      note="two trainings as long as a joint one each: the projection whole, then the network, PWTP held",
    ),
    row("alpha=0", 39.2, 0.43, *fixed(0.0)),
    row("alpha=.5", 40.1, 0.34, *fixed(0.5)),
    row("alpha=.9", 39.3, 0.22, *fixed(0.9)),
    row("scale(.1,.1)", 40.7, 0.57, *scale(0.1, 0.1)),
    row("scale(.2,.3)", 40.7, 0.56, *scale(0.2, 0.3)),
    row("scale(.5,.3)", 40.4, 0.55, *scale(0.5, 0.3)),
    row("MGDA", 41.0, 0.27, "mgda"),
  ),
  measure,
  pairs=(("SSv1 top-1", "top-1 %"), ("SSv1 ENoPR", "ENoPR")),
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
