"""Accuracy over the length of a frame's token in the temporal transformer (TTSN, Fig. 3).

"down u" has channels / u for each of its H W positions, "up u" that many times more. The text names two of the figure's
points: 12,544 numbers (down 8) are best, and 49 (down 2048: one channel) is the shortest. The mini network has 48
channels on maps of 6 x 6.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training

ETT = "--config.model.ett."
DOWN = {"down 48": (48, 1), "down 8": (8, 1), "down 2": (2, 1), "down 1": (1, 1), "up 2": (1, 2)}
FULL = {"down 48": (2048, 1)}  # one channel of the 2,048


def training(config: str, compression: int, expansion: int) -> Training:
  """The transformer alone, without self-supervision."""
  return Training(config, (f"{ETT}compression={compression}", f"{ETT}expansion={expansion}"))


def row(name: str) -> Row:
  """A length."""
  full = FULL.get(name, DOWN[name])
  config = "configs/ttsn.py:hmdb51,pretrain=kinetics,frames=16,tss=off"
  note = "the paper's down 2048: one channel for each position" if name in FULL else ""
  return Row(
    name,
    mini={"": training("configs/ttsn.py:mini,tss=off", *DOWN[name])},
    full={"HMDB51": training(config, *full)},
    note=note,
  )


TABLE = Table("TTSN Fig. 3", tuple(row(name) for name in DOWN), epochs=4.0)

if __name__ == "__main__":
  run_table(TABLE)
