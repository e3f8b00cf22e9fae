"""The length of the clips that TeSNet squeezes (thesis Table 3.3); 6, 12 and 24 frames at mini scale."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training


def row(length: int, mini: int, top1: float) -> Row:
  """A length."""
  flags = "--config.sampler.num_segments=1", f"--config.sampler.frames_per_segment={mini}"
  squeezed = f"--config.model.representation.frames={mini}", "--config.model.representation.rank=3"
  config = "configs/tesnet.py:rgb" if length == 10 else f"configs/tesnet.py:rgb-{length}"
  return Row(
    f"{length} frames",
    {"UCF101 top-1": top1},
    "own",
    {"": Training("configs/tesnet.py:mini", (*flags, *squeezed, "--config.model.backbone.inserts=()"))},
    {"UCF101": Training(config, ("--config.train.batch_size=8",))},
  )


TABLE = Table(
  "thesis Table 3.3",
  (row(10, 6, 85.3), row(16, 12, 86.2), row(64, 24, 87.8)),
  pairs=(("UCF101 top-1", "top-1 %"),),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
