"""`python -m vidjax.predict --workdir=DIR FILE...`: the likeliest classes of video files, and why.

Files go through the frames, crops and precision of evaluation. Each is decoded twice, once to count its frames and once
to keep the sampled ones, so the memory does not grow with its length.
"""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from vidjax.analyse.gradcam import cell_centres, grad_cam, map_names, to_pixels
from vidjax.analyse.pictures import ENDINGS, save_explanation
from vidjax.console import say, say_json
from vidjax.data import read_film, video_file
from vidjax.data.flow import encode_flow, grey_levels
from vidjax.data.schema import DamagedRecord, Record
from vidjax.errors import EXIT_BAD_INPUT, InputError, run_main
from vidjax.evaluate.__main__ import define_crop, parse_views
from vidjax.run import Run, open_run
from vidjax.train.step import forward

TOP = 5
SHORT_SIDE = 256
"""To which frames are shrunk where the run's data set is not there to ask: the default of `vidjax.prepare`."""


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
  """What the network says about one file.

  Attributes:
    file: its path.
    scores: float32 `[K]`, the mean softmax score over the views.
    features: float32 `[D]`, the mean features over the views.
    clip: uint8 `[T, H, W, 3]`, the middle view; of flow images where the run reads those.
    frames: int `[T]`, 0-based numbers of its frames in the video.
  """

  file: str
  scores: np.ndarray
  features: np.ndarray
  clip: np.ndarray
  frames: np.ndarray


def make_predictor(
  run: Run, clips: int = 1, crops: int = 1, short_side: int | None = None
) -> Callable[[str], Prediction]:
  """The function that predicts one file.

  Args:
    run: with its variables.
    clips: clips of each video.
    crops: crops of each clip: 1, 3, 5 or 10.
    short_side: to which larger frames are shrunk before they are cropped (default: `stored_short_side`).

  Returns:
    path -> Prediction; it raises InputError naming the file where that is broken.
  """
  test_crops = run.crops(crops)
  short_side = short_side or stored_short_side(run) or SHORT_SIDE

  @jax.jit
  def score(variables: Any, views: jax.Array) -> tuple[jax.Array, jax.Array]:
    output, _ = forward(run.network, variables, run.normalise(views), False, dtype=run.dtype)
    return jax.nn.softmax(output.logits), output.features

  sample = sample_flow if run.flow else sample_file

  def predict(file: str) -> Prediction:
    numbers, video = sample(file, lambda count, times: run.sampler.test(count, clips, times), short_side)
    views = test_crops(video)
    batches = [score(run.variables, views[i : i + crops]) for i in range(0, len(views), crops)]
    scores, features = (np.concatenate(parts).mean(axis=0) for parts in zip(*batches, strict=True))
    if not np.isfinite(scores).all():
      raise InputError(f"{file}: the network's scores are not finite: choose another --checkpoint")
    clip, crop = clips // 2, {1: 0, 3: 1, 5: 4, 10: 4}[crops]
    return Prediction(file, scores, features, views[clip * crops + crop], numbers[clip])

  return predict


def stored_short_side(run: Run) -> int | None:
  """The short side of the frames a run was trained on, as its data set stores them; None where that is not there.

  Films smaller than the data set was prepared for are stored as they are: the largest of a few records tells.
  """
  if not any(pathlib.Path(run.data.dir).glob(f"{run.data.name.partition('/')[0]}/*")):
    return None  # opening a synthetic data set would generate it
  sides: list[int] = []
  try:
    source = run.dataset.source(run.data.validation_split)
    for index in np.unique(np.linspace(0, len(source) - 1, 16).astype(int)):
      with contextlib.suppress(DamagedRecord):
        record = Record.parse(source[int(index)])
        sides.append(record.short_side or min(record.decode([0]).shape[1:3]))
  except InputError:
    return None
  return max(sides, default=None)


def sample_file(
  file: str, choose: Callable[[int, np.ndarray], np.ndarray], short_side: int | None
) -> tuple[np.ndarray, np.ndarray]:
  """Reads the frames of a file that `choose` names when told how many there are and when, `[N]` seconds from the first.

  Returns:
    Their 0-based numbers `[..., T]` and the frames, uint8 `[..., T, H, W, 3]`.

  Raises:
    InputError: broken file, named in the message.
  """
  times = read_film.frame_times(file)
  numbers = choose(len(times), times)
  wanted, where = np.unique(numbers, return_inverse=True)
  images: list[np.ndarray] = []
  for number, image in enumerate(video_file.decode(file, short_side)):
    if number == wanted[len(images)]:
      images.append(image)
    if len(images) == len(wanted):
      break
  return numbers, np.stack(images)[where.reshape(numbers.shape)]


def sample_flow(
  file: str, choose: Callable[[int, np.ndarray], np.ndarray], short_side: int | None
) -> tuple[np.ndarray, np.ndarray]:
  """`sample_file` for flow images, one fewer than frames: the flow is computed and encoded as in preparation."""
  chosen: list[np.ndarray] = []

  def ends(num_frames: int, times: np.ndarray) -> np.ndarray:
    if num_frames < 2:
      raise InputError(f"{file} has {num_frames} frame, and flow takes two")
    chosen.append(choose(num_frames - 1, times[:-1]))
    first = np.unique(chosen[0])
    return np.stack([first, first + 1])

  (first, _), frames = sample_file(file, ends, short_side)
  jpegs = encode_flow(*[[grey_levels(frame) for frame in end] for end in frames])
  numbers = chosen[0]
  video = Record(0, file, len(jpegs), 0.0, jpegs).decode(np.searchsorted(first, numbers.reshape(-1)))
  return numbers, video.reshape(*numbers.shape, *video.shape[1:])


def explain(run: Run, prediction: Prediction, path: str | pathlib.Path) -> None:
  """Draws the sampled frames with Grad-CAM of the likeliest class over them."""
  label = int(prediction.scores.argmax())
  clips = run.normalise(jnp.asarray(prediction.clip[None]))
  evidence = grad_cam(run.network, run.variables, clips, np.array([label]))
  maps = [
    to_pixels(np.asarray(cells[0]), prediction.clip.shape, *place)
    for cells, place in zip(evidence, cell_centres(run.network, clips.shape), strict=True)
  ]
  title = f"{run.class_names[label]}, {prediction.scores[label]:.1%}: {pathlib.Path(prediction.file).name}"
  names = map_names(run.network, clips.shape)
  save_explanation(path, prediction.clip, maps, prediction.frames, title, names=names)


def explain_paths(out: pathlib.Path, files: Sequence[str]) -> list[pathlib.Path]:
  """OUT.png for one file; OUT-STEM.png for each of several, numbered where a stem comes again: OUT-STEM-2.png."""
  if len(files) == 1:
    return [out]
  names: list[str] = []
  for file in files:
    stem = name = f"{out.stem}-{pathlib.Path(file).stem}"
    number = 1
    while name.casefold() in map(str.casefold, names):  # file systems may not tell cases apart
      number += 1
      name = f"{stem}-{number}"
    names.append(name)
  return [out.with_name(name + out.suffix) for name in names]


def best(prediction: Prediction, class_names: list[str]) -> list[dict[str, Any]]:
  """The TOP likeliest classes and their scores, likeliest first."""
  order = np.argsort(-prediction.scores, kind="stable")[:TOP]
  return [{"class": class_names[label], "score": float(prediction.scores[label])} for label in order]


def define_flags() -> None:
  """The command's flags; they may stand after the files."""
  flags.FLAGS.set_gnu_getopt(True)
  flags.DEFINE_string("workdir", None, "Folder of a training run.")
  flags.DEFINE_string("checkpoint", "best", "best, last or a step.")
  flags.DEFINE_bool("trust", False, "Let the run's config make things from outside vidjax.")
  flags.DEFINE_string("views", "1x1", "CLIPSxCROPS of each video, such as 10x3; crops are 1, 3, 5 or 10.")
  define_crop()
  flags.DEFINE_integer(
    "stored_short_side", None, "Larger frames are first shrunk to it (default: as the run's data set stores them).", 1
  )
  flags.DEFINE_string(
    "explain",
    None,
    "OUT.png: sampled frames with Grad-CAM. Several files: OUT-STEM.png each, OUT-STEM-2.png where a stem comes again; "
    f"each path is printed. Endings: {', '.join(ENDINGS)}. A missing folder is made.",
  )
  flags.DEFINE_string(
    "features",
    None,
    "OUT.npz: features [N, D], scores [N, K], files [N] and class_names [K]. A missing folder is made.",
  )
  flags.DEFINE_bool("json", False, "Print JSON: a list of {file, top5: [{class, score}]}.")


def main(argv: list[str]) -> None:
  """The command: broken files are named on stderr, the others still run, and the exit code is 2."""
  values, files = flags.FLAGS, argv[1:]
  if not values.workdir:
    raise InputError("--workdir=DIR is missing: name the folder of a training run")
  if not files:
    raise InputError("no video file is named: python -m vidjax.predict --workdir=DIR FILE...")
  clips, crops = parse_views(values.views)
  features = _output("features", values.features, (".npz",))
  pictures = _output("explain", values.explain, ENDINGS)
  paths = explain_paths(pictures, files) if pictures else [None] * len(files)
  run = open_run(
    values.workdir, values.checkpoint, size=values.size, short_side=values.short_side, trusted=values.trust
  )
  short_side = values.stored_short_side or stored_short_side(run)
  if not short_side:
    short_side = SHORT_SIDE
    say(
      f"note: {run.data.name} is not in {run.data.dir}: frames are shrunk to {SHORT_SIDE}, "
      "unless --stored_short_side says so",
      error=True,
    )
  predict = make_predictor(run, clips, crops, short_side)
  done: list[Prediction] = []
  for file, path in zip(files, paths, strict=True):
    try:
      prediction = predict(file)
    except InputError as error:
      say(f"error: {error}", error=True)
      continue
    done.append(prediction)
    if not values.json:
      say(file)
      for row in best(prediction, run.class_names):
        say(f"  {row['score']:6.1%}  {row['class']}")
    if path:
      explain(run, prediction, path)
      say(f"wrote {path}", error=values.json)
  if features and done:
    with features.open("wb") as stream:
      np.savez_compressed(
        stream,
        features=np.stack([prediction.features for prediction in done]),
        scores=np.stack([prediction.scores for prediction in done]),
        files=np.array([prediction.file for prediction in done], np.str_),
        class_names=np.array(run.class_names, np.str_),
      )
    say(f"wrote {features}", error=values.json)
  if values.json:
    say_json([{"file": p.file, "top5": best(p, run.class_names)} for p in done])
  if len(done) < len(files):
    say(f"{len(done)} of {len(files)} files could be read", error=True)
    raise SystemExit(EXIT_BAD_INPUT)


def _output(flag: str, value: str | None, endings: Sequence[str]) -> pathlib.Path | None:
  """The path a flag names, its folder made; wrong ones show before the work begins."""
  if value is None:
    return None
  if not value:
    raise InputError(f"--{flag} is empty: name a file, or leave it out")
  path = pathlib.Path(value)
  if path.suffix.lower() not in endings:
    raise InputError(f"--{flag}={value} must end in {' or '.join(endings)}")
  if path.is_dir():
    raise InputError(f"--{flag}={value} is a folder: name a file")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(f"--{flag}={value}: its folder cannot be made ({error.strerror})") from error
  if not os.access(path if path.exists() else path.parent, os.W_OK):
    raise InputError(f"--{flag}={value} cannot be written: choose another place")
  return path


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
