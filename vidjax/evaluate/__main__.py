"""`python -m vidjax.evaluate --workdir=DIR [--workdir=DIR2 ...]`: metrics and a report of a trained network.

Several workdirs, such as the streams of a two-stream network, average their scores; the report goes to the first.
"""

import dataclasses
import pathlib
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.data.schema import Record
from vidjax.errors import InputError, run_main
from vidjax.evaluate.metrics import confusion, summarize, worst_pairs
from vidjax.evaluate.report import write_report
from vidjax.evaluate.views import Scores, average, make_scorer, score_split
from vidjax.run import Run, open_run
from vidjax.train.sharding import make_mesh


@dataclasses.dataclass(frozen=True)
class Options:
  """How to evaluate.

  Attributes:
    split: to evaluate on (default: the validation split of the first run).
    clips: clips of each video.
    crops: crops of each clip: 1, 3, 5 or 10.
    views_per_batch: views that go through the network at once (default: the training batch size).
    batch_size: videos in a batch (default: as many as make about a training batch of views).
    skip_damaged: leave damaged records out in place of an error.
  """

  split: str | None = None
  clips: int = 1
  crops: int = 1
  views_per_batch: int | None = None
  batch_size: int | None = None
  skip_damaged: bool = False


def evaluate(runs: Sequence[Run], options: Options, mesh: Mesh, command: str, progress: bool = True) -> dict[str, Any]:
  """Evaluates runs, their scores averaged where there are several, and writes the report.

  Args:
    runs: with their variables.
    options: how.
    mesh: devices to use.
    command: the command line, for the report.
    progress: show a bar on stderr.

  Returns:
    The summary of `metrics.summarize` with `report` (path of the JSON file), `files` (the paths of all that was
    written), `records` of the split, `skipped` (of them damaged) and `worst_confused`.

  Raises:
    InputError: the runs are not about the same data set, videos and classes, or a record is damaged.
  """
  first, split = runs[0], options.split or runs[0].data.validation_split
  members: list[Scores] = []
  ids: list[str] = []
  damaged: dict[int, str] = {}
  for run in runs[1:]:
    if run.data.name != first.data.name or run.class_names != first.class_names:
      raise InputError(
        f"{run.workdir} was trained on {run.data.name} with {len(run.class_names)} classes, {first.workdir} on "
        f"{first.data.name} with {len(first.class_names)}: scores can only be averaged over the same classes"
      )
  for run in runs:
    scores, damaged = _score(run, split, options, mesh, progress)
    source = run.dataset.source(split)
    own_ids = [Record.parse(source[int(index)]).video_id for index in scores.index]
    if members and own_ids != ids:
      raise InputError(f"the {split} videos of {run.workdir} are not those of {first.workdir}: prepare them alike")
    members.append(scores)
    ids = own_ids
  scores = average(members)
  summary = summarize(scores, first.class_names)
  extra = {
    "records": first.dataset.splits[split],
    "skipped": {str(index): reason for index, reason in damaged.items()},
    "data": first.data.name,
    "views": f"{options.clips}x{options.crops}",
    "runs": [
      {
        "workdir": str(run.workdir),
        "step": run.step,
        "top1": summarize(member, run.class_names)["top1"],
        "size": run.test_crops.size,
        "short_side": run.test_crops.short_side or run.test_crops.size,
      }
      for run, member in zip(runs, members, strict=True)
    ],
  }
  name = split if len(runs) == 1 else f"{split}_ensemble"
  folder = pathlib.Path(first.workdir or ".") / "evaluation"
  files = write_report(folder, name, summary, scores, first.class_names, command, {"step": first.step, **extra}, ids)
  worst = worst_pairs(confusion(scores), first.class_names)
  return {**summary, **extra, "report": files[0], "files": files, "worst_confused": worst}


def _score(run: Run, split: str, options: Options, mesh: Mesh, progress: bool) -> tuple[Scores, dict[int, str]]:
  """The scores of one run, and the damaged records that were skipped."""
  from rich.console import Console
  from rich.progress import track

  views = options.clips * options.crops
  train_batch = int(run.config["train"]["batch_size"])
  loader = run.eval_loader(
    split,
    options.batch_size or max(train_batch // views, 1),
    clips=options.clips,
    crops=options.crops,
    skip_damaged=options.skip_damaged,
  )
  scorer = make_scorer(run.network, run.normalise, mesh, run.dtype)
  variables = jax.device_put(run.variables, NamedSharding(mesh, PartitionSpec()))
  console = Console(stderr=True)
  batches = track(
    loader.batches(),
    f"{run.workdir}, {split}",
    loader.num_batches,
    console=console,
    disable=not (progress and console.is_terminal),
    transient=True,
  )
  return score_split(scorer, variables, batches, options.views_per_batch or train_batch), dict(loader.damaged)


def parse_views(text: str) -> tuple[int, int]:
  """ "10x3" to 10 clips and 3 crops."""
  match = re.fullmatch(r"([1-9]\d*)x(1|3|5|10)", text)
  if not match:
    raise InputError(f"--views={text} is not CLIPSxCROPS, such as 10x3; crops are 1, 3, 5 or 10")
  return int(match[1]), int(match[2])


def define_crop() -> None:
  """The flags of the test crop, which `predict` has, too."""
  flags.DEFINE_integer("size", None, "Side of the test crop in pixels (default: the run's config.test.size).", 1)
  flags.DEFINE_integer(
    "short_side", None, "Frames are resized to it before that crop (default: the run's config.test.short_side).", 1
  )


def define_flags() -> None:
  """The command's flags."""
  define_crop()
  flags.DEFINE_multi_string("workdir", [], "Folder of a training run; given several times, their scores are averaged.")
  flags.DEFINE_string("split", None, "Split to evaluate on (default: the run's validation split).")
  flags.DEFINE_string("data_dir", None, "Where the data sets lie, if not where they lay in training.")
  flags.DEFINE_string("views", "1x1", "CLIPSxCROPS of each video, such as 10x3; crops are 1, 3, 5 or 10.")
  flags.DEFINE_integer("views_per_batch", None, "Views that go through the network at once: bounds the memory.", 1)
  flags.DEFINE_string("checkpoint", "best", "best, last or a step.")
  flags.DEFINE_integer("batch_size", None, "Videos in a batch; the numbers do not depend on it.", 1)
  flags.DEFINE_bool("skip_damaged", False, "Leave damaged records out; the report says how many.")


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if not values.workdir:
    raise InputError("--workdir=DIR is missing: name the folder of a training run")
  clips, crops = parse_views(values.views)
  options = Options(values.split, clips, crops, values.views_per_batch, values.batch_size, values.skip_damaged)
  twice = {workdir for workdir in values.workdir if values.workdir.count(workdir) > 1}
  if twice:
    raise InputError(f"--workdir={min(twice)} is given twice: name each run once")
  chosen = values.checkpoint, values.data_dir, values.size, values.short_side
  runs = [open_run(workdir, *chosen) for workdir in values.workdir]
  command = shlex.join(["python", "-m", "vidjax.evaluate", *sys.argv[1:]])
  result = evaluate(runs, options, make_mesh(), command)
  print(f"{result['videos']} of {result['records']} videos, {result['classes']} classes, {values.views} views")
  crops = {f"{run['size']} pixels of a short side of {run['short_side']}" for run in result["runs"]}
  print(f"test crops: {', '.join(sorted(crops))}")
  for run in result["runs"] if len(runs) > 1 else ():
    print(f"{run['workdir']} (step {run['step']}): top-1 {run['top1']:.2%}")
  print(f"top-1 {result['top1']:.2%}  top-5 {result['top5']:.2%}  mean class accuracy {result['mean_class']:.2%}")
  for pair in result["worst_confused"][:5]:
    print(f"  {pair['true']!r} taken for {pair['predicted']!r}: {pair['videos']} ({pair['share']:.0%} of the class)")
  for record, reason in result["skipped"].items():
    print(f"skipped record {record}: {reason}", file=sys.stderr)
  for path in result["files"]:
    print(f"wrote {path}")


if __name__ == "__main__":
  define_flags()
  run_main(main)
