"""What a network costs, and what its input looks like.

`python -m vidjax.analyse cost --config=FILE[:argument]` counts a network module by module, for one clip; with
`--training` as it runs in training, heads that run there alone included.
`python -m vidjax.analyse representations FILE... --out=DIR` draws every input representation of video files side by
side, one picture each; with `--workdir=RUN` those that the run has trained are its own.
"""

import csv
import pathlib
from collections.abc import Sequence

from absl import flags

from vidjax.analyse.module_costs import ModuleCost, module_costs
from vidjax.command import define_config, read_config, run_main
from vidjax.console import say
from vidjax.errors import EXIT_BAD_INPUT, InputError

MODES = ("cost", "representations")
SHORT_SIDE = 160


def define_flags() -> None:
  """The command's flags."""
  flags.FLAGS.set_gnu_getopt(True)
  define_config()
  flags.DEFINE_integer("depth", 2, "Levels of modules to show below the network.", lower_bound=0)
  flags.DEFINE_enum(
    "convention",
    "real",
    ["real", "thop"],
    "real: all convolutions and matrix products, attention included. thop: as the papers' tables count.",
  )
  flags.DEFINE_bool(
    "training", False, "cost: of the forward pass in training, with what runs there alone (TTSN's TSS, say)."
  )
  flags.DEFINE_integer("classes", None, "Number of classes, in place of the data set's.", 1, 10**6)
  flags.DEFINE_list("clip", None, "FRAMES,HEIGHT,WIDTH in place of the config's clips.")
  flags.DEFINE_string(
    "out", None, "cost: CSV file for the numbers of every module. representations: folder to draw in."
  )
  flags.DEFINE_string("workdir", None, "representations: folder of a training run, whose trained inputs are drawn.")
  flags.DEFINE_string("checkpoint", "best", "representations: best, last or a step.")
  flags.DEFINE_bool("trust", False, "representations: let the run's config make things from outside vidjax.")
  flags.DEFINE_integer("segments", 4, "representations: columns, spread over the video.", 1, 16)
  flags.DEFINE_integer(
    "short_side", None, f"representations: larger frames are shrunk to it (default: the run's, or {SHORT_SIDE}).", 16
  )
  flags.DEFINE_integer("steps", 100, "representations: steps that fit PWTP and TSP to a clip where no run has.", 0)


def main(argv: list[str]) -> None:
  """The command."""
  mode, files = (argv[1] if argv[1:] else ""), argv[2:]
  if mode not in MODES or (mode == "cost" and files):
    raise InputError(f"say what to analyse: {' or '.join(MODES)}; got {' '.join(argv[1:]) or 'nothing'}")
  if mode == "representations":
    _representations(files)
  else:
    _cost()


def _cost() -> None:
  values = flags.FLAGS
  out = pathlib.Path(values.out) if values.out else None
  if out and not out.parent.is_dir():
    raise InputError(f"--out={out}: there is no folder {out.parent}")
  config = read_config(values.config)
  from vidjax.run.opened import Run  # slow to import, for the data stack

  run = Run(config, [str(i) for i in range(values.classes)] if values.classes else None)
  shape = run.clip_shape if values.clip is None else _shape(values.clip)
  rows = module_costs(run.network, shape, values.convention, values.training)
  counted = f"{values.convention} multiply-accumulates of the forward pass{' in training' * values.training}"
  _show(rows, shape, values.depth, counted)
  if out:
    _write(rows, out)


def _representations(files: Sequence[str]) -> None:
  """One picture for each file; broken ones are named on stderr, the others still drawn, and the exit code is 2."""
  values = flags.FLAGS
  if not files:
    raise InputError("no video file is named: python -m vidjax.analyse representations FILE... --out=DIR")
  if not values.out:
    raise InputError("--out=DIR is missing: name a folder for the pictures")
  from vidjax.analyse.pictures import explain_paths
  from vidjax.analyse.representations import length, represent, save_representations, trained_inputs
  from vidjax.apply.device_augment import Normalise
  from vidjax.data.sample_film import sample_file
  from vidjax.data.sampling import UniformSegments
  from vidjax.run.opened import open_run

  normalise, short_side, trained = Normalise(), values.short_side or SHORT_SIDE, {}
  if values.workdir:
    run = open_run(values.workdir, values.checkpoint, trusted=values.trust)
    if "colour" not in run.recipe.stream.gives:
      stream = type(run.recipe.stream).__name__
      raise InputError(f"{values.workdir}: its network reads {stream}, not frames: name another run")
    normalise, short_side = run.normalise, values.short_side or run.crop_sizes["short_side"]
    trained = trained_inputs(run.network, run.variables)
    if not trained:
      raise InputError(f"{values.workdir}: its network reads plain frames: leave --workdir out, or name another run")
  out = pathlib.Path(values.out)
  try:
    out.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(f"--out={out} cannot be made ({error.strerror}): name a folder") from error
  sampler = UniformSegments(values.segments, length(trained))
  paths = explain_paths(out / "representations.png", [*files, files[0]])[: len(files)]
  failed = 0
  for file, path in zip(files, paths, strict=True):
    try:
      numbers, video = sample_file(file, lambda count, times: sampler.test(count, 1, times)[0], short_side)
      segments = video.reshape(values.segments, -1, *video.shape[1:])
      rows = represent(segments, normalise, trained, values.steps)
    except InputError as error:
      say(f"error: {error}", error=True)
      failed += 1
      continue
    save_representations(path, rows, numbers[:: sampler.frames_per_segment], pathlib.Path(file).name)
    say(f"wrote {path}")
  if failed:
    raise SystemExit(EXIT_BAD_INPUT)


def _shape(text: list[str]) -> tuple[int, int, int, int]:
  try:
    frames, height, width = map(int, text)
  except ValueError:
    frames = height = width = 0
  if min(frames, height, width) < 1:
    raise InputError(f"--clip={','.join(text)}: must be FRAMES,HEIGHT,WIDTH, as in --clip=8,224,224")
  return frames, height, width, 3


def _show(rows: list[ModuleCost], shape: tuple[int, ...], depth: int, counted: str) -> None:
  from rich.console import Console
  from rich.table import Table

  clip = "x".join(map(str, shape))
  table = Table(title=f"one clip of {clip}, {counted}")
  for header in ("module", "class", "parameters", "GMAC", "output elements"):
    table.add_column(header, justify="left" if header in ("module", "class") else "right")
  for row in rows:
    level = row.path.count("/") + 1 if row.path else 0
    if level <= depth:
      name = "  " * level + (row.path.rpartition("/")[2] or "(network)")
      table.add_row(name, row.kind, f"{row.params:,}", f"{row.macs / 1e9:.4f}", f"{row.activations:,}")
  Console().print(table)


def _write(rows: list[ModuleCost], out: pathlib.Path) -> None:
  with out.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["module", "class", "parameters", "macs", "output_elements"])
    writer.writerows((row.path, row.kind, row.params, row.macs, row.activations) for row in rows)


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
