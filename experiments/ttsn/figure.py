"""Where the temporal transformer adds something to the frames of a validation clip (TTSN, Fig. 7), in a picture.

`python -m experiments.ttsn.figure --workdir=RUN --out=PICTURE`, of a run of `configs/ttsn.py`.
"""

from absl import flags

from vidjax.analyse.attention import save_attention
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
  run = open_run(values.workdir, data_dir=values.data_dir)
  source = run.dataset.source(run.data.validation_split)
  if values.video >= len(source):
    raise InputError(f"--video={values.video}: the {run.data.validation_split} split has 0 to {len(source) - 1}")
  record = Record.parse(source[values.video])
  numbers = run.recipe.sampler.test(record.num_frames)[0]
  frames = run.test_crops(record.decode(numbers))[0]
  title = f"{record.video_id} ({run.class_names[record.label]})"
  site = save_attention(out, frames, numbers, run.normalise(frames), (run.network, run.variables), title)
  say(f"{out}: {site}, {title}")


if __name__ == "__main__":
  flags.DEFINE_string("workdir", None, "Folder of a training run.")
  flags.DEFINE_string("out", None, "The picture.")
  flags.DEFINE_integer("video", 0, "Which one of the run's validation split, from 0 on.", 0)
  flags.DEFINE_string("data_dir", None, "Where data sets lie now, if not where they lay in training.")
  run_main(main)
