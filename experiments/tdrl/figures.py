"""What PEM and the TD loss do to the features of a clip (TDRL, Fig. 3 and 4), in a picture of a run's validation clip.

`python -m experiments.tdrl.figures --workdir=RUN --out=PICTURE`: the channels that a PEM excites and suppresses.
`python -m experiments.tdrl.figures --workdir=RUN --workdir=RUN2 --out=PICTURE`: maps before and after a temporal
module, of a run with the TD loss and one without, say. The loss stands in the last block of a stage: in ResNet-50,
--at=backbone/res3/block3 is the paper's figure, in the mini network --at=backbone/res3/block0.
"""

import pathlib

from absl import flags

from vidjax.analyse.channels import save_diversity, save_enhancement
from vidjax.analyse.pictures import check_picture_path
from vidjax.command import run_main
from vidjax.console import say
from vidjax.data.schema import Record
from vidjax.errors import InputError
from vidjax.run.opened import open_run


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if not values.workdir or not values.out:
    raise InputError("--workdir=RUN and --out=PICTURE are needed")
  out = check_picture_path(values.out)
  out.parent.mkdir(parents=True, exist_ok=True)
  runs = [open_run(folder, data_dir=values.data_dir) for folder in values.workdir]
  first, split = runs[0], runs[0].data.validation_split
  source = first.dataset.source(split)
  if values.video >= len(source):
    raise InputError(f"--video={values.video}: the {split} split has videos 0 to {len(source) - 1}")
  record = Record.parse(source[values.video])
  frames = first.test_crops(record.decode(first.recipe.sampler.test(record.num_frames)[0]))[0]
  clips = [(run.normalise(frames), (run.network, run.variables)) for run in runs]
  if len(runs) == 1:
    site = save_enhancement(out, frames, *clips[0], values.at)
  else:
    names = [pathlib.Path(folder).name for folder in values.workdir]
    site = save_diversity(out, frames, dict(zip(names, clips, strict=True)), values.at)
  say(f"{out}: {site}, {record.video_id} ({first.class_names[record.label]})")


if __name__ == "__main__":
  flags.DEFINE_multi_string("workdir", None, "Folder of a training run; two or more for the maps.")
  flags.DEFINE_string("out", None, "The picture.")
  flags.DEFINE_integer("video", 0, "Which one of the first run's validation split, from 0 on.", 0)
  flags.DEFINE_string("at", "", "Start of the module's path, as backbone/res3/block3 (default: the first one).")
  flags.DEFINE_string("data_dir", None, "Where data sets lie now, if not where they lay in training.")
  run_main(main)
