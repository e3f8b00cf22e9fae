"""Keyframes of a trained network as a data set: what it keeps of each video, for any other network (rtsae 5.1.3).

A scout run with attention, such as one of `configs/rtsae_dscnn.py`, looks at clips of every video. Frames whose gate is
open are stored, in their order, as the video: samplers, training, evaluation and features read them as any other.
"""

import copy
import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import rich.progress
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.console import screen
from vidjax.data import write
from vidjax.data.dataset import REPORT
from vidjax.data.schema import Record, encode_frames, example
from vidjax.errors import InputError, MissingOutput
from vidjax.evaluate.views import make_scorer
from vidjax.recurrent import OPEN
from vidjax.run.opened import Run
from vidjax.types import Output


class _AttentionTask:
  """Answers with attention `[B, T]`."""

  targets = ()

  def answer(self, output: Output) -> jax.Array:
    """What is kept of a clip."""
    return output.take("attention")


def prepare_keyframes(
  run: Run,
  name: str,
  data_dir: pathlib.Path,
  *,
  mesh: Mesh,
  clips: int = 4,
  batch_size: int | None = None,
  skip_damaged: bool = False,
  overwrite: bool = False,
) -> dict[str, Any]:
  """Makes the data set folder/NAME of the data set of a run: of each video the frames that the run keeps.

  A step is its first frame. Of a video in which every gate is shut, the frame of the highest attention is kept, and the
  report counts such videos.

  Args:
    run: the scout, with its variables.
    name: letters, digits, ".", "-" and "_".
    data_dir: where prepared data sets lie.
    mesh: devices to use.
    clips: test clips of a video that the scout looks at; each has other frames.
    batch_size: clips that go through the network at once (default: the training batch size).
    skip_damaged: leave damaged records out in place of an error.
    overwrite: replace a data set of that name.

  Returns:
    The report: scout, data set, and of every split its videos, the frames looked at and kept, and the videos in which
    every gate was shut.

  Raises:
    InputError: a name in use, a damaged record, a network without attention, or features in place of frames.
  """
  write.check_name(name)
  target = data_dir / "folder" / name
  if target.exists() and not overwrite:
    raise InputError(f"folder/{name} exists in {data_dir}: choose another --name, or pass --overwrite")
  if "pixels" not in run.recipe.stream.gives:
    raise InputError(f"{run.workdir} reads features, which have no frames to keep: name a run on frames")
  run = copy.copy(run)
  task: Any = _AttentionTask()
  run.recipe = dataclasses.replace(run.recipe, task=task)  # frames are chosen without labels or key moments
  chosen = {split: _choose(run, split, mesh, clips, batch_size, skip_damaged) for split in run.dataset.splits}
  report: dict[str, Any] = {
    "scout": str(run.workdir or ""),
    "step": run.step,
    "data": run.data.name,
    "clips": clips,
    "splits": {
      split: {
        "videos": len(found),
        "looked_at": sum(looked for _, looked, _ in found.values()),
        "frames": sum(len(frames) for frames, _, _ in found.values()),
        "every_gate_shut": sum(shut for _, _, shut in found.values()),
      }
      for split, found in chosen.items()
    },
    "kept": [
      {"file": file, "split": split, "source": digest}
      for split in run.dataset.splits
      for file, digest in run.dataset.films(split).items()
    ],
  }
  held = run.dataset.holds
  optional = [key for key in ("flow", "labels", "key_frames", "frame_labels") if key in held] + ["times"]

  def fill(partial: pathlib.Path) -> None:
    records = partial / write.VERSION
    records.mkdir()
    examples = (one for split, found in chosen.items() for one in _examples(run, split, found, optional))
    write.write_records(records, f"folder/{name}", chosen, examples, run.dataset.class_names, optional)
    (partial / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    write.seal(records, [f"../{REPORT}"])

  write.fill_folder(target, fill, overwrite)
  return report


def _choose(
  run: Run, split: str, mesh: Mesh, clips: int, batch_size: int | None, skip_damaged: bool
) -> dict[int, tuple[np.ndarray, int, bool]]:
  """Number of a record -> the frames that are kept, how many were looked at, and whether every gate was shut."""
  scorer = make_scorer(run.recipe, mesh)
  variables = jax.device_put(run.variables, NamedSharding(mesh, PartitionSpec()))
  videos = max((batch_size or int(run.config["train"]["batch_size"])) // clips, 1)
  loader = run.eval_loader(
    split, videos, clips=clips, skip_damaged=skip_damaged, labelled=run.dataset.has_labels(split)
  )
  console = screen(error=True)
  found: dict[int, tuple[np.ndarray, int, bool]] = {}
  for batch in rich.progress.track(
    loader.batches(),
    f"keyframes of {run.data.name}, {split}",
    loader.num_batches,
    console=console,
    disable=not console.is_terminal,
  ):
    video = np.asarray(batch["video"])
    flat = {"video": video.reshape(-1, *video.shape[2:]), "mask": np.repeat(batch["mask"], clips)}
    try:
      attention = scorer(variables, flat)[0]
    except MissingOutput as error:
      raise InputError(f"{run.workdir}: {error}: name a run with attention, as of configs/rtsae_dscnn.py") from error
    attention = attention.reshape(len(video), clips, -1)
    frames = np.asarray(batch["frame_index"]).reshape(*attention.shape, -1)[..., 0]
    for row in np.flatnonzero(batch["mask"]):
      own, scores = frames[row].reshape(-1), attention[row].reshape(-1)
      kept = own[scores > OPEN]
      shut = not len(kept)
      kept = own[[scores.argmax()]] if shut else np.unique(kept)
      found[int(batch["index"][row])] = kept, len(np.unique(own)), shut
  return found


def _examples(
  run: Run, split: str, found: dict[int, tuple[np.ndarray, int, bool]], optional: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
  """(split, example) of every video, with its kept frames alone."""
  source = run.dataset.source(split)
  for index in sorted(found):
    record, (kept, _, _) = Record.parse(source[index]), found[index]
    times = record.times if record.times is not None else np.arange(record.num_frames) / record.fps
    jpegs = bool(record.frames) and record.gop is None
    rest: dict[str, Any] = {
      "video": [record.frames[i] for i in kept] if jpegs else encode_frames(record.decode(kept)),
      "times": (times[kept] - times[kept[0]]).tolist(),
    }
    if "flow" in optional:
      rest["flow"] = [(record.flow or ())[i] for i in kept[:-1]]
    if record.frame_labels is not None:
      rest["frame_labels"] = record.frame_labels[kept].tolist()
    if record.key_frames is not None:
      rest["key_frames"] = np.flatnonzero(np.isin(kept, record.key_frames)).tolist()
    label = record.label if record.labels is None else record.labels.tolist()
    yield split, example(label, record.video_id, record.fps, len(kept), **rest)
