"""Features of a trained backbone over a whole data set, stored as a data set of its own.

Each video gives a feature for every segment that the run samples, for every frame, or for every window of frames. The
films of a split are cut into shards; a shard that is done is kept, so that the same command resumes where it stopped.
"""

import copy
import dataclasses
import functools
import hashlib
import json
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import rich.progress
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.console import screen
from vidjax.data import write
from vidjax.data.dataset import BACKBONE, REPORT
from vidjax.data.records import Records
from vidjax.data.schema import DamagedRecord, example
from vidjax.data.workers import in_order
from vidjax.errors import InputError, MissingOutput
from vidjax.evaluate.views import Scorer, make_scorer
from vidjax.files import whole
from vidjax.run.opened import Run
from vidjax.types import Film, Output, Sampler

Per = Literal["segment", "frame", "window"]
SHARD = 64
"""Videos of a shard: what a killed command computes again at most."""
FRAMES_AT_ONCE = 512
"""Frames of a film that are decoded at a time, which bounds the memory."""


@dataclasses.dataclass(frozen=True)
class _FeatureTask:
  """Answers with features: `[B, D]` of a clip, or `[B, T', D]` of its segments.

  Attributes:
    per_segment: the latter.
  """

  per_segment: bool
  targets = ()

  def answer(self, output: Output) -> jax.Array:
    """What is stored of a clip."""
    return jnp.concatenate(output.take("frame_features"), axis=-1) if self.per_segment else output.features


@dataclasses.dataclass(frozen=True)
class Settings:
  """What is stored of each video.

  Attributes:
    per: "segment", the features before their mean over time, of the clip that evaluation samples; "frame", those of
      clips of one frame; "window", those of clips of neighbouring frames.
    stride: frames from one frame or window to the next (default: the window's length, 1 of frames).
  """

  per: Per = "segment"
  stride: int | None = None

  def __post_init__(self):
    if self.stride is not None and (self.stride < 1 or self.per == "segment"):
      raise InputError(f"--stride={self.stride}: from 1 on, and with --per=frame or --per=window alone")

  def clips(self, sampler: Sampler, film: Film) -> np.ndarray:
    """Frame numbers `[V, T]` of the clips of a film.

    Windows of T neighbouring frames begin every `stride` frames; the last one ends with the film, a film shorter than a
    window repeats its last frame.

    Args:
      sampler: of the run.
      film: the video.
    """
    if self.per == "segment":
      return sampler.test(film.num_frames, 1, film.times)
    length = 1 if self.per == "frame" else sampler.clip_length
    stride = self.stride or length
    starts = np.arange(0, max(film.num_frames - length, 0) + 1, stride)
    if starts[-1] + length < film.num_frames:
      starts = np.append(starts, film.num_frames - length)
    return np.minimum(starts[:, None] + np.arange(length), film.num_frames - 1)


def prepare_features(
  run: Run,
  name: str,
  data_dir: pathlib.Path,
  settings: Settings,
  *,
  mesh: Mesh,
  batch_size: int | None = None,
  skip_damaged: bool = False,
  overwrite: bool = False,
) -> dict[str, Any]:
  """Makes the data set features/NAME of the data set of a run, with the splits of that.

  Args:
    run: with its variables.
    name: letters, digits, ".", "-" and "_".
    data_dir: where prepared data sets lie.
    settings: what is stored of each video.
    mesh: devices to use.
    batch_size: clips that go through the network at once (default: the training batch size).
    skip_damaged: leave damaged records out in place of an error.
    overwrite: replace a data set of that name, and what another backbone began of it.

  Returns:
    The report: backbone, settings, data set, width F, and how many videos and features every split has.

  Raises:
    InputError: a name in use, a damaged record, or what is there was begun with another backbone or data set.
  """
  write.check_name(name)
  run = copy.copy(run)
  task: Any = _FeatureTask(settings.per == "segment")
  run.recipe = dataclasses.replace(run.recipe, task=task)  # labels of any kind will do
  target = data_dir / "features" / name
  if target.exists() and not overwrite:
    raise InputError(f"features/{name} exists in {data_dir}: choose another --name, or pass --overwrite")
  identity = {"backbone": fingerprint(run), **dataclasses.asdict(settings), "data": run.contents}
  shards = target.with_name(f".{name}.shards")
  _begin(shards, identity, overwrite)
  at_once = batch_size or int(run.config["train"]["batch_size"])
  try:
    found = _fill_shards(run, shards, settings, mesh, at_once, skip_damaged)
  except (MissingOutput, InputError) as error:
    if not list(shards.glob("*.npz")):
      shutil.rmtree(shards)
    if isinstance(error, MissingOutput):
      raise InputError(f"{run.network.__class__.__name__} has no features of segments: take --per=window") from error
    fewer = "; a network that needs several frames takes --per=window or --per=segment" * (settings.per == "frame")
    raise InputError(f"{error}{fewer}") from error
  counts = {split: {"videos": 0, "features": 0, "damaged": records} for split, records in run.dataset.splits.items()}
  width = 0
  for split, path in found:
    with np.load(path) as stored:
      for features in map(stored.__getitem__, stored.files):
        width = features.shape[1]
        counts[split]["videos"] += 1
        counts[split]["damaged"] -= 1
        counts[split]["features"] += len(features)
  if not width:
    raise InputError(f"no record of {run.data.name} could be read: prepare it again")
  report: dict[str, Any] = {
    "backbone": identity["backbone"],
    "workdir": str(run.workdir or ""),
    "step": run.step,
    "data": run.data.name,
    "settings": dataclasses.asdict(settings),
    "width": width,
    "splits": counts,
    "kept": [
      {"file": file, "split": split, "source": digest}
      for split in run.dataset.splits
      for file, digest in run.dataset.films(split).items()
    ],
  }

  def fill(partial: pathlib.Path) -> None:
    records = partial / write.VERSION
    records.mkdir()
    held = run.dataset.holds
    optional = [key for key in ("times", "labels", "key_frames", "frame_labels") if key in held or key == "times"]
    examples = (one for split, path in found for one in _examples(run, settings, split, path))
    write.write_records(
      records, f"features/{name}", run.dataset.splits, examples, run.dataset.class_names, optional, "features", width
    )
    (partial / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (records / BACKBONE).write_text(json.dumps({"sha256": identity["backbone"]}) + "\n", encoding="utf-8")
    write.seal(records, [f"../{REPORT}", BACKBONE])

  write.fill_folder(target, fill, overwrite)
  shutil.rmtree(shards)
  return report


def fingerprint(run: Run) -> str:
  """SHA-256 of what decides the features: the network, its variables, sampling, crops and normalisation."""
  digest = hashlib.sha256()
  parts = {key: run.config.get(key) for key in ("model", "sampler", "test", "normalise", "stream")}
  digest.update(json.dumps(parts, sort_keys=True).encode())
  for path, x in sorted(jax.tree_util.tree_leaves_with_path(run.variables), key=lambda pair: str(pair[0])):
    digest.update(f"{path} {x.dtype} {x.shape}".encode() + np.ascontiguousarray(x).tobytes())
  return digest.hexdigest()


def _begin(shards: pathlib.Path, identity: dict[str, Any], overwrite: bool) -> None:
  """Makes the folder of the shards, or checks that those in it are of the same backbone, data set and settings."""
  path, text = shards / "identity.json", json.dumps(identity, sort_keys=True)
  if path.is_file() and path.read_text(encoding="utf-8") != text:
    if not overwrite:
      raise InputError(
        f"{shards} was begun with another backbone, data set or settings: give those of then to resume it, or"
        " --overwrite to begin again"
      )
    shutil.rmtree(shards)
  shards.mkdir(parents=True, exist_ok=True)
  path.write_text(text, encoding="utf-8")


def _fill_shards(
  run: Run, shards: pathlib.Path, settings: Settings, mesh: Mesh, batch_size: int, skip_damaged: bool
) -> list[tuple[str, pathlib.Path]]:
  """Computes the shards that are missing; (split, path) of all. A shard maps numbers of records to their features."""
  scorer = make_scorer(run.recipe, mesh)
  variables = jax.device_put(run.variables, NamedSharding(mesh, PartitionSpec()))
  score = functools.partial(_score, scorer, variables, batch_size)
  found = [
    (split, number, shards / f"{split}-{number:05d}.npz")
    for split, records in run.dataset.splits.items()
    for number in range(-(-records // SHARD))
  ]
  console = screen(error=True)
  for split, number, path in rich.progress.track(
    found, f"features of {run.data.name}", console=console, disable=not console.is_terminal
  ):
    if path.is_file():
      continue
    records = Records(run.dataset.source(split), run.recipe.stream)
    places = range(number * SHARD, min((number + 1) * SHARD, len(records)))
    arrays: dict[str, Any] = _shard(run, records, places, settings, score, skip_damaged)
    with whole(path) as partial, partial.open("wb") as file:
      np.savez(file, **arrays)
  return [(split, path) for split, _, path in found]


def _shard(
  run: Run,
  records: Records,
  places: range,
  settings: Settings,
  score: Callable[[Iterator[np.ndarray]], np.ndarray],
  skip_damaged: bool,
) -> dict[str, np.ndarray]:
  """Number of a record -> its features `[T, F]`, of those that can be read."""
  films: dict[int, tuple[Film, np.ndarray]] = {}
  bad: set[int] = set()

  def refuse(place: int, error: DamagedRecord) -> None:
    if not skip_damaged:
      raise InputError(f"{error} (--skip_damaged leaves such records out)") from error
    bad.add(place)

  for place in places:
    try:
      _, film = records[place]
      films[place] = film, settings.clips(run.recipe.sampler, film)
    except DamagedRecord as error:
      refuse(place, error)
  parts = [(place, film, part) for place, (film, clips) in films.items() for part in _parts(clips)]

  def decode(part: tuple[int, Film, np.ndarray]) -> np.ndarray:
    _, film, clips = part
    video = film.decode(clips.reshape(-1))
    return run.crops(1)(video.reshape(*clips.shape, *video.shape[1:]))

  def clips() -> Iterator[np.ndarray]:
    for (place, _, numbers), future in in_order(decode, parts, max(run.data.num_threads, 1)):
      try:
        yield from future.result()
      except DamagedRecord as error:
        refuse(place, error)
        yield from np.zeros((*numbers.shape, *run.clip_shape[1:]), run.recipe.stream.dtype)

  answers, start = score(clips()), 0
  found: dict[str, np.ndarray] = {}
  for place, (_, numbers) in films.items():
    own = answers[start : start + len(numbers)]
    start += len(numbers)
    if place not in bad:
      found[str(place)] = own.reshape(-1, own.shape[-1]).astype(np.float32)
  return found


def _parts(clips: np.ndarray) -> Sequence[np.ndarray]:
  """The clips of a film in parts of at most FRAMES_AT_ONCE frames."""
  count = max(FRAMES_AT_ONCE // clips.shape[1], 1)
  return [clips[i : i + count] for i in range(0, len(clips), count)]


def _score(scorer: Scorer, variables: Any, batch_size: int, clips: Iterator[np.ndarray]) -> np.ndarray:
  """The answers to all clips, a batch at a time. The last batch is filled up, so that the network is compiled once."""
  answers: list[np.ndarray] = []
  held: list[np.ndarray] = []

  def flush() -> None:
    video = np.stack(held + [np.zeros_like(held[0])] * (batch_size - len(held)))
    found, _ = scorer(variables, {"video": video, "mask": np.arange(batch_size) < len(held)})
    answers.append(found[: len(held)])
    held.clear()

  for clip in clips:
    held.append(clip)
    if len(held) == batch_size:
      flush()
  if held:
    flush()
  return np.concatenate(answers) if answers else np.zeros((0, 0), np.float32)


def _examples(run: Run, settings: Settings, split: str, path: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
  """(split, example) of every video of a shard."""
  records = Records(run.dataset.source(split), run.recipe.stream)
  with np.load(path) as stored:
    for name in stored.files:
      features, (record, film) = stored[name], records[int(name)]
      frames = settings.clips(run.recipe.sampler, film).reshape(-1)
      if len(frames) % len(features):
        raise InputError(f"the network makes {len(features)} features of {len(frames)} frames: take --per=window")
      frames = frames.reshape(len(features), -1)  # behind each feature
      centre = frames[:, frames.shape[1] // 2]
      times = film.times[centre] if film.times is not None else centre / record.fps
      length = times[-1] - times[0]
      rate = (len(features) - 1) / length if length > 0 else record.fps
      rest: dict[str, Any] = {"features": features, "times": (times - times[0]).tolist()}
      if record.frame_labels is not None:
        rest["frame_labels"] = record.frame_labels[centre].tolist()
      if record.key_frames is not None:
        rest["key_frames"] = np.flatnonzero(np.isin(frames, record.key_frames).any(1)).tolist()
      label = record.label if record.labels is None else record.labels.tolist()
      yield split, example(label, record.video_id, float(rate), len(features), **rest)
