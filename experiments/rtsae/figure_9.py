"""Accuracy over the amount of augmentation, at mini scale (rtsae Fig. 9).

(a) The places a crop is drawn from, 1 to 5, of a frame that is 8 pixels larger. (b) The share of the clips into which
frames are inserted, in the phases that have such a transform. The paper prints no numbers; it takes 5 places and nearly
80% of the clips. To be short, the streams have half the steps of `configs/rtsae_dscnn.py:mini`, and the rest is as in
`figure_8`.
"""

from experiments.rtsae.figure_8 import SHORT
from experiments.rtsae.keyframes import CONFIG, measure
from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training

REGIONS = 1, 3, 5
SHARES = 0.0, 0.4, 0.8
STREAMS = tuple(f"--config.phases[{i}].train.steps=300" for i in (0, 1))
FIRST = "b_share_0.0"


def regions(count: int) -> Row:
  """Crops at that many places, in every phase."""
  crop = "make=vidjax.data.corner_crop.CornerCrop", "size=48", "short_side=56", f"regions={count}"
  flags = ("--config.test.short_side=56", *(f"--config.transforms[0].{one}" for one in crop), *STREAMS, *SHORT)
  return Row(f"a_regions_{count}", {}, "own", {"": Training(CONFIG, flags)})


def share(part: float) -> Row:
  """Frames inserted into that share of the clips; the streams of a seed are trained once."""
  flags = (f"--config.device_transforms[0].probability={part}", *STREAMS, *SHORT)
  name = f"b_share_{part}"
  return Row(name, {}, "own", {"": Training(CONFIG, flags, shares=None if name == FIRST else (FIRST, 2))})


TABLE = Table("rtsae Fig. 9", (*map(regions, REGIONS), *map(share, SHARES)), measure)

if __name__ == "__main__":
  run_table(TABLE)
