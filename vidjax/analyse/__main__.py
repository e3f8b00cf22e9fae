"""What a network costs, what its input looks like, where it looks, and how it learnt.

`python -m vidjax.analyse cost --config=FILE[:argument]` counts a network module by module, for one clip; with
`--training` as it runs in training, heads that run there alone included.
`python -m vidjax.analyse representations FILE... --out=DIR` draws every input representation of video files side by
side, one picture each; with `--workdir=RUN`, once or several times, those that the runs have trained are theirs.
`python -m vidjax.analyse attention FILE... --workdir=RUN --point=FRAME,Y,X --out=DIR` draws where that point looks: the
attention of NL, RNL and ETT, and the weights of CPA, CBAM and GC. Several `--workdir` are drawn below each other.
`python -m vidjax.analyse curves --workdir=RUN... --out=FILE` draws losses and accuracies of both splits of runs.
`python -m vidjax.analyse kernels --workdir=RUN --out=DIR` draws the first convolutions, and MBPM's kernels before and
after training.
`python -m vidjax.analyse schedule --config=FILE[:argument] --out=FILE` draws learning rate and weights of losses.

Grad-CAM is `python -m vidjax.predict --explain`.
"""

import importlib
import pkgutil

from absl import flags

from vidjax.analyse import modes
from vidjax.command import define_config, run_main
from vidjax.errors import InputError

MODES = tuple(module.name for module in pkgutil.iter_modules(modes.__path__))


def define_flags() -> None:
  """The command's flags."""
  flags.FLAGS.set_gnu_getopt(True)
  define_config()
  flags.DEFINE_integer("depth", 2, "cost: levels of modules to show below the network.", lower_bound=0)
  flags.DEFINE_enum(
    "convention",
    "real",
    ["real", "thop"],
    "cost: real: all convolutions and matrix products, attention included. thop: as the papers' tables count.",
  )
  flags.DEFINE_bool(
    "training", False, "cost: of the forward pass in training, with what runs there alone (TTSN's TSS, say)."
  )
  flags.DEFINE_integer("classes", None, "cost: number of classes, in place of the data set's.", 1, 10**6)
  flags.DEFINE_list("clip", None, "cost: FRAMES,HEIGHT,WIDTH in place of the config's clips.")
  flags.DEFINE_string(
    "out",
    None,
    "cost: CSV file for the numbers of every module. curves, schedule: picture. Others: folder to draw in.",
  )
  flags.DEFINE_multi_string(
    "workdir",
    None,
    "Folder of a training run. representations: whose trained inputs are drawn, of several runs in one picture."
    " attention, curves: several to compare.",
  )
  flags.DEFINE_string("checkpoint", "best", "best, last or a step.")
  flags.DEFINE_bool("trust", False, "Let the run's config make things from outside vidjax.")
  flags.DEFINE_integer("segments", 4, "representations: columns, spread over the video.", 1, 16)
  flags.DEFINE_integer(
    "short_side",
    None,
    "representations, attention: larger frames are shrunk to it (default: the run's, or 160 without one).",
    16,
  )
  flags.DEFINE_integer(
    "frames", 6, "representations: of a segment, for PWTP, TSP and dynamic image (3.15, 3.17).", 2, 64
  )
  flags.DEFINE_integer("steps", 100, "representations: steps that fit PWTP and TSP to a clip where no run has.", 0)
  flags.DEFINE_list(
    "point", None, "attention: FRAME,Y,X: a frame of the clip, from 0 on, and shares of its height and width."
  )
  flags.DEFINE_string(
    "at", "", "attention, kernels: start of the modules' paths, such as backbone/res3 (default: all)."
  )
  flags.DEFINE_list("names", None, "curves: of the numbers to draw, such as loss,weight/projection (default: all).")
  flags.DEFINE_list(
    "scales", [], "schedule: GAMMA:LAMBDA of scale schedulers to draw in place of the config's weights (3.12)."
  )
  flags.DEFINE_integer("steps_per_epoch", 100, "schedule: of the training, for schedules that count epochs.", 1)


def main(argv: list[str]) -> None:
  """The command."""
  mode, files = (argv[1] if argv[1:] else ""), argv[2:]
  if mode not in MODES:
    raise InputError(f"say what to analyse: {' or '.join(MODES)}; got {' '.join(argv[1:]) or 'nothing'}")
  importlib.import_module(f"{modes.__name__}.{mode}").run(files)


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
