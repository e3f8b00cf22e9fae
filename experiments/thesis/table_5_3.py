"""Busy-Quiet Net beside its pathways (thesis Table 5.3): each alone, their averaged scores, and BQN.

Alone, a pathway is the quickstart's network on the Busy (MBPM) or the Quiet (the first frame of three, smaller) of the
clips.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Row, Table, Training

BQN = "configs/bqn.py:ssv1"
WHOLE = (24, 224, 224)


def bqn(*flags: str) -> dict[str, Training]:
  """A mini BQN.

  Args:
    *flags: that change it.
  """
  return {"": Training("configs/bqn.py:mini", flags)}


def full(*flags: str) -> dict[str, Training]:
  """A BQN of ResNet-50 on Something-Something V1.

  Args:
    *flags: that change it.
  """
  return {"SSv1": Training(BQN, flags)}


def cost(clip: tuple[int, int, int] = WHOLE, quiet: int = 224, *flags: str) -> Cost:
  """What a BQN of ResNet-50 on Something-Something V1 costs.

  Args:
    clip: (frames, height, width) of the Busy pathway.
    quiet: pixels of the Quiet one.
    *flags: that change it.
  """
  return Cost(BQN, (f"--config.model.quiet_size={quiet}", *flags), 174, clip)


def alone(name: str) -> dict[str, Training]:
  """A pathway alone: TSM-ResNet-50 on an input of `configs/inputs.py`."""
  return {"SSv1": Training(f"configs/inputs.py:{name},data=ssv1")}


def printed(top1: float, top5: float, gflops: float | None = None) -> dict[str, float]:
  """The numbers of a row."""
  return {"SSv1 top-1": top1, "SSv1 top-5": top5, **({"GFLOPs": gflops} if gflops else {})}


TABLE = Table(
  "thesis Table 5.3",
  (
    Row("Quiet", printed(46.5, 75.3, 32.8), mini={"": Training("configs/bqn.py:mini_quiet")}, full=alone("rgb")),
    Row("Busy", printed(48.0, 76.8), mini={"": Training("configs/bqn.py:mini_busy")}, full=alone("mbpm")),
    Row(
      "Quiet + Busy",
      printed(50.3, 79.0, 65.7),
      partners=("Quiet", "Busy"),
      cost=cost(WHOLE, 224, "--config.model.lateral=none"),
    ),
    Row("BQN", printed(51.6, 80.5, 65.9), mini=bqn(), full=full(), cost=cost()),
  ),
  pairs=(("SSv1 top-1", "top-1 %"),),
  epochs=6.0,
)

if __name__ == "__main__":
  run_table(TABLE)
