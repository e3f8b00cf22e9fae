"""Accuracy over the amount of augmentation (rtsae Fig. 9).

(a) The places a crop is drawn from, 1 or 5, of a frame that is 8 pixels larger. (b) The share of the clips into which
frames are inserted, in the phases that have such a transform. The paper prints no numbers; it takes 5 places and nearly
80% of the clips, against over-fitting: the accuracy on training clips is stated, too. The gate of mini
networks is the mixed one, as rows with the printed one are near chance in Fig. 8. To be short, their streams have half
the steps of `configs/rtsae_dscnn.py:mini`.
"""

import pathlib

from experiments.rtsae import keyframes
from experiments.tables.command import run_table
from experiments.tables.measures import training_accuracy
from experiments.tables.row import Row, Table, Training
from vidjax.run.folder import read_phases

CONFIG, FULL = f"{keyframes.CONFIG}-mixed", "configs/rtsae_dscnn.py:ucf101"
REGIONS = 1, 5
SHARES = 0.0, 0.4, 0.8
STREAMS = tuple(f"--config.phases[{i}].train.steps=300" for i in (0, 1))
FIRST = "b_share_0.0"


def measure(folder: pathlib.Path) -> dict[str, float]:
  """Those of all tables of RTSAE-DSCNN, and the accuracy on the last epoch of training clips."""
  return {**keyframes.measure(folder), "training top-1 %": training_accuracy(folder / read_phases(folder)[-1])}


def regions(count: int) -> Row:
  """Crops at that many places, in every phase."""
  crop = "make=vidjax.data.corner_crop.CornerCrop", "size=48", "short_side=56", f"regions={count}"
  flags = ("--config.test.short_side=56", *(f"--config.transforms[0].{one}" for one in crop), *STREAMS)
  full = {"UCF101": Training(FULL, (f"--config.transforms[0].regions={count}",))}
  return Row(f"a_regions_{count}", {}, "own", {"": Training(CONFIG, flags)}, full)


def share(part: float) -> Row:
  """Frames inserted into that share of the clips; the streams of a seed are trained once."""
  flag, name = f"--config.device_transforms[0].probability={part}", f"b_share_{part}"
  shares = None if name == FIRST else (FIRST, 2)
  mini, full = Training(CONFIG, (flag, *STREAMS), shares=shares), Training(FULL, (flag,), shares=shares)
  return Row(name, {}, "own", {"": mini}, {"UCF101": full})


TABLE = Table("rtsae Fig. 9", (*map(regions, REGIONS), *map(share, SHARES)), measure)

if __name__ == "__main__":
  run_table(TABLE)
