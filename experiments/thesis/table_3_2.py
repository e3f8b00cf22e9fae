"""Where temporal squeeze pooling stands in Inception-ResNet-v2 (thesis Table 3.2), on UCF101, split 1.

At mini scale it stands before MiniResNet without TSM, behind its stem and its stages, and squeezes whole clips of 24
frames. The print gives the MACs of No. 3 to 5 as .405, .498 and .733 of those of No. 1.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Row, Table, Training
from experiments.thesis.mini import FRAMES

STEM = ("stem", 3)


def row(number: int, top1: float, *places: tuple[str, int]) -> Row:
  """A placing; at mini scale by the parts of MiniResNet, each with its D."""
  length, flags, inside = FRAMES, ["--config.model.backbone.inserts=()"], 0
  for place, rank in places:
    module = "--config.model.representation"
    if place != "input":
      site = f"--config.model.backbone.inside[{inside}]"
      flags += [f"{site}.make=vidjax.plugins.insert.Inside", f"{site}.after={place}"]
      module, inside = f"{site}.module", inside + 1
    flags += [f"{module}.make=vidjax.inputs.tsp.TSP", f"{module}.frames={length}", f"{module}.rank={rank}"]
    length = rank
  sizes = "--config.sampler.num_segments=1", f"--config.sampler.frames_per_segment={FRAMES}"
  config = f"configs/tesnet.py:rgb-no{number}"
  return Row(
    f"No. {number}",
    {"UCF101 top-1": top1},
    "own",
    {"": Training("configs/inputs.py:rgb", (*sizes, *flags))},
    {"UCF101": Training(config)},
    Cost(config, (), 101),
  )


TABLE = Table(
  "thesis Table 3.2",
  (
    row(1, 85.4, ("input", 3)),
    row(2, 83.1, ("input", 1)),
    row(3, 81.7, STEM, ("res2", 1)),
    row(4, 84.9, STEM, ("res3", 1)),
    row(5, 85.3, STEM, ("res4", 1)),
  ),
  pairs=(("UCF101 top-1", "top-1 %"),),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
