"""Busy-Quiet Net beside its pathways (thesis Table 5.3): each alone, their averaged scores, and BQN.

Both pathways have 224 pixels, at mini scale 48. Alone, a pathway is TSM on MBPM or on plain frames, at mini scale the
quickstart's network on the Busy (MBPM) or the Quiet (the first frame of three) of the clips. At full scale BQN has
label smoothing and five times the rate in its stems, as its released code; a pathway alone is `configs/inputs.py`.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Row, Table, Training

BQN = "configs/bqn.py:ssv1"
PIXELS = {128: 28, 160: 34, 192: 42, 224: 48, 256: 54}
"""At mini scale 48 pixels stand for 224, and the others in proportion."""
DEEP_EPOCHS = 4.0
"""Of `configs/bqn.py:mini_deep`, whose 16 blocks cost more: it has learnt most of `order` by then."""
PAIRS = ("SSv1 top-1", "top-1 %"), ("SSv1 top-5", "top-5 %")


def bqn(*flags: str, quiet: int = 224, busy: int = 224, name: str = "mini") -> dict[str, Training]:
  """A mini BQN; the same sizes and flags are the same training in every table.

  Args:
    *flags: that change it.
    quiet: what the pixels of the Quiet pathway stand for, a key of PIXELS.
    busy: likewise of the Busy one.
    name: of the network in `configs/bqn.py`.
  """
  sides = ("transforms[0].size", "test.size", "test.short_side") if busy != 224 else ()
  sizes = f"--config.model.quiet_size={PIXELS[quiet]}", *(f"--config.{side}={PIXELS[busy]}" for side in sides)
  return {"": Training(f"configs/bqn.py:{name}", (*sizes, *flags))}


def full(*flags: str, quiet: int = 224, busy: int = 224) -> dict[str, Training]:
  """A BQN of ResNet-50 on Something-Something V1, tested on the centre crop of frames of 256 pixels (5.5.1).

  Args:
    *flags: that change it.
    quiet: pixels of the Quiet pathway.
    busy: of the Busy one.
  """
  sizes = [f"model.quiet_size={quiet}"] * (quiet != 160)  # what the config has makes no flag
  sizes += [f"transforms[0].size={busy}", f"test.size={busy}"] * (busy != 256)
  return {"SSv1": Training(BQN, (*(f"--config.{size}" for size in sizes), *flags))}


def cost(*flags: str, quiet: int = 224, busy: int = 224) -> Cost:
  """What a BQN of ResNet-50 on Something-Something V1 costs.

  Args:
    *flags: that change it.
    quiet: pixels of the Quiet pathway.
    busy: of the Busy one.
  """
  return Cost(BQN, (f"--config.model.quiet_size={quiet}", *flags), 174, (24, busy, busy))


def printed(top1: float, top5: float, gflops: float | None = None) -> dict[str, float]:
  """The numbers of a row."""
  return {"SSv1 top-1": top1, "SSv1 top-5": top5, **({"GFLOPs": gflops} if gflops else {})}


def alone(name: str, config: str, mini: Training, top1: float, top5: float) -> Row:
  """A pathway alone: TSM-ResNet-50 on an input of `configs/inputs.py`."""
  whole = f"configs/inputs.py:{config},data=ssv1"
  return Row(
    name, printed(top1, top5, 32.8), mini={"": mini}, full={"SSv1": Training(whole)}, cost=Cost(whole, (), 174)
  )


SAME_SIZE = "--config.model.representation.scale=1.0"
NONE = "--config.model.lateral=none"
TABLE = Table(
  "thesis Table 5.3",
  (
    alone("Quiet", "rgb", Training("configs/bqn.py:mini_quiet", (SAME_SIZE,)), 46.5, 75.3),
    alone("Busy", "mbpm", Training("configs/bqn.py:mini_busy"), 48.0, 76.8),
    Row("Quiet + Busy", printed(50.3, 79.0, 65.7), partners=("Quiet", "Busy"), cost=cost(NONE)),
    Row("BQN", printed(51.6, 80.5, 65.9), mini=bqn(), full=full(), cost=cost()),
  ),
  pairs=PAIRS,
  epochs=6.0,
)

if __name__ == "__main__":
  run_table(TABLE)
