"""Evaluation of trained runs on a split: scores, averaged over several runs, and the report."""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.analyse.skipping import work
from vidjax.console import screen
from vidjax.data.loader import video_id
from vidjax.data.schema import NO_LABEL, Record
from vidjax.errors import InputError
from vidjax.evaluate.calibration import calibrate, save_reliability, write_calibration
from vidjax.evaluate.manifest import manifest
from vidjax.evaluate.report import write_report, write_submission
from vidjax.evaluate.views import average, make_scorer, score_split
from vidjax.run.opened import Run
from vidjax.types import Scores


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
    submission: a .csv or .json file for the five best classes of every video; the split may be without labels.
    calibrate: fit a temperature on the split, for `predict --calibrated`; of one run, on its validation split.
  """

  split: str | None = None
  clips: int = 1
  crops: int = 1
  views_per_batch: int | None = None
  batch_size: int | None = None
  skip_damaged: bool = False
  submission: pathlib.Path | None = None
  calibrate: bool = False


def evaluate(runs: Sequence[Run], options: Options, mesh: Mesh, command: str, progress: bool = True) -> dict[str, Any]:
  """Evaluates runs, their scores averaged where there are several, and writes the report.

  Args:
    runs: with their variables.
    options: how.
    mesh: devices to use.
    command: the command line, for the report.
    progress: show a bar on stderr.

  Returns:
    The numbers and details of the task's summary and its `line`, with `report` (path of the JSON file), `files` (the
    paths of all that was written), `records` of the split, `skipped` (of them damaged) and `warnings`. Of a split
    without labels `videos`, `records`, `skipped` and `files` alone.

  Raises:
    InputError: the runs are not about the same data set, videos and classes, or a record is damaged.
  """
  first, split = runs[0], options.split or runs[0].data.validation_split
  if options.calibrate:
    _check_calibrates(runs, split)
  members: list[Scores] = []
  ids: list[str] = []
  damaged: dict[int, str] = {}
  for run in runs[1:]:
    if run.data.name != first.data.name:
      raise InputError(
        f"{run.workdir} reads {run.data.name}, {first.workdir} {first.data.name}: scores can only be averaged on one"
        " data set"
      )
    if run.data.fold != first.data.fold:
      raise InputError(
        f"{run.workdir} was trained on fold {run.data.fold}, {first.workdir} on fold {first.data.fold}: --folds states"
        " the mean over folds"
      )
    if run.class_names != first.class_names or type(run.recipe.task) is not type(first.recipe.task):
      kinds = [f"{len(one.class_names)} classes ({type(one.recipe.task).__name__})" for one in (run, first)]
      raise InputError(
        f"{run.workdir} was trained with {kinds[0]}, {first.workdir} with {kinds[1]}: scores can only be averaged over"
        " the same classes, in one order, and one task"
      )
  for run in runs:
    before = damaged
    scores, damaged = _score(run, split, options, mesh, progress)
    source = run.dataset.source(split)
    own_ids = [Record.parse(source[int(index)]).video_id for index in scores.index]
    if members and own_ids != ids and before.keys() != damaged.keys():
      record = min(before.keys() ^ damaged.keys())
      raise InputError(
        f"record {record} of split {split!r} is damaged in what one run reads and whole in what another does: prepare"
        f" {first.data.name} again, or evaluate each run by itself ({before.get(record) or damaged[record]})"
      )
    if members and own_ids != ids:
      raise InputError(f"the {split} videos of {run.workdir} are not those of {first.workdir}: prepare them alike")
    members.append(scores)
    ids = own_ids
  scores = average(members)
  files = []
  task = first.recipe.task
  if options.submission:
    write_submission(options.submission, ids, scores.scores, first.class_names)
    files.append(options.submission)
  if "label" in task.targets and not first.dataset.has_labels(split):
    skipped = {str(index): reason for index, reason in damaged.items()}
    return {"videos": len(ids), "records": first.dataset.splits[split], "skipped": skipped, "files": files}
  summary = task.summarize(scores, first.class_names)
  if getattr(first.network, "skip", False) and "kept" in summary.numbers:
    saved = work(first.network, first.variables, first.clip_shape, summary.numbers["kept"])
    left, least = saved["share of the dense work"], saved["bound: share if no step is kept"]
    text = f"  {left:.0%} of the dense network's work, {least:.0%} where none is kept"
    summary = summary._replace(details={**summary.details, "work": saved}, line=summary.line + text)
  own = [run.recipe.task.summarize(one, run.class_names) for run, one in zip(runs, members, strict=True)]
  extra = {
    "records": first.dataset.splits[split],
    "skipped": {str(index): reason for index, reason in damaged.items()},
    "data": first.data.name,
    "warnings": [warning for run in runs if (warning := run.overlap(split))],
    "views": f"{options.clips}x{options.crops}",
    "runs": [
      {
        "workdir": str(run.workdir),
        "step": run.step,
        **its.numbers,
        "line": its.line,
        **run.crop_sizes,
        **({"fraction": run.data.fraction} if run.data.fraction < 1 else {}),
        "manifest": manifest(run, split, ids, one.extras.get("frame_index"), (options.clips, options.crops)),
      }
      for run, one, its in zip(runs, members, own, strict=True)
    ],
  }
  name = split if len(runs) == 1 else f"{split}_ensemble"
  if first.data.name != first.trained_data:
    fold = f"_fold{first.data.fold}" if first.data.fold else ""
    name = f"{first.data.name.replace('/', '_')}{fold}_{name}"
  folder = pathlib.Path(first.workdir or ".") / "evaluation"
  files += write_report(folder, name, summary, scores, command, {"step": first.step, **extra}, ids)
  found = {**summary.numbers, **summary.details, "line": summary.line}
  if options.calibrate:
    made, diagrams = calibrate(scores, first.class_names, first.step, extra["views"])
    files.append(write_calibration(folder.parent, made, {"split": split, "manifest": extra["runs"][0]["manifest"]}))
    files.append(folder / f"{name}_reliability.png")
    save_reliability(files[-1], diagrams, f"{folder.parent.name}, {split}: temperature {made.temperature:.3g}")
    found["calibration"] = made._asdict()
  return {**found, **extra, "report": folder / f"{name}.json", "files": files}


def _check_calibrates(runs: Sequence[Run], split: str) -> None:
  run = runs[0]
  if len(runs) > 1 or run.data.name != run.trained_data or split != run.data.validation_split:
    raise InputError(
      f"--calibrate fits one run on its validation split, {run.data.validation_split} of {run.trained_data}: leave"
      " --split, --data and other runs out"
    )
  if "label" not in run.recipe.task.targets:
    raise InputError(f"--calibrate: {type(run.recipe.task).__name__} has no scores of classes: leave it out")


def _score(run: Run, split: str, options: Options, mesh: Mesh, progress: bool) -> tuple[Scores, dict[int, str]]:
  """The scores of one run, and the damaged records that were skipped."""
  from rich.progress import track

  views = options.clips * options.crops
  train_batch = int(run.config["train"]["batch_size"])
  loader = run.eval_loader(
    split,
    options.batch_size or max(train_batch // views, 1),
    clips=options.clips,
    crops=options.crops,
    skip_damaged=options.skip_damaged,
    labelled=run.dataset.has_labels(split) or options.submission is None,
  )
  scorer = make_scorer(run.recipe, mesh)
  variables = jax.device_put(run.variables, NamedSharding(mesh, PartitionSpec()))
  console = screen(error=True)
  batches = track(
    loader.batches(),
    f"{run.workdir}, {split}",
    loader.num_batches,
    console=console,
    disable=not (progress and console.is_terminal),
    transient=True,
  )
  name = functools.partial(video_id, run.dataset.source(split))
  scores = score_split(
    scorer, variables, batches, options.views_per_batch or train_batch, run.recipe.task.targets, name
  )
  return dataclasses.replace(scores, label=_by_name(run, scores.label)), dict(loader.damaged)


def _by_name(run: Run, label: np.ndarray) -> np.ndarray:
  """The labels of a data set as the run numbers its classes."""
  here = run.labels_here()
  if label.ndim == 1:
    return np.append(here, NO_LABEL)[label]  # NO_LABEL is -1, the last
  several = np.zeros((len(label), len(run.class_names)), bool)
  several[:, here] = label
  return several


def parse_views(text: str) -> tuple[int, int]:
  """ "10x3" to 10 clips and 3 crops."""
  match = re.fullmatch(r"([1-9]\d*)x(1|3|5|10)", text)
  if not match:
    raise InputError(f"--views={text} is not CLIPSxCROPS, such as 10x3; crops are 1, 3, 5 or 10")
  return int(match[1]), int(match[2])
