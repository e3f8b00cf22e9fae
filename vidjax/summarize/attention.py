"""The attention that a trained network pays to each frame of a film (rtsae Eq. 6, 14, 21).

A film is read in consecutive windows. Each gives one clip, cut as the run's clips are.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.apply.forward import forward
from vidjax.data.batches import Views
from vidjax.data.flow import encode_flow, grey_levels
from vidjax.data.schema import Record, encode_frames
from vidjax.data.video_file import Frame
from vidjax.errors import InputError
from vidjax.run.films import check_reads_films, default_short_side, stored_length
from vidjax.run.opened import Run
from vidjax.summarize.descriptors import shows_nothing
from vidjax.summarize.film import Candidates, Describe, Watched
from vidjax.types import Sampler, Stream

Attend = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""uint8 clips `[B, T, H, W, C]` -> attention `[B, S]`, 0 to 1, and output gates `[B, S, D]` or None.

A step, of S, stands for T / S neighbouring frames of the clip, as where the network's input joins them.
"""


@dataclasses.dataclass(frozen=True)
class Windows:
  """How a film becomes clips.

  Attributes:
    span: frames of a window.
    sampler: chooses the frames of a clip from those of its window.
    stream: what a clip is made of.
    crop: cuts one view of a clip.
    short_side: to which larger frames are shrunk before.
  """

  span: int
  sampler: Sampler
  stream: Stream
  crop: Views
  short_side: int


def windows_of(run: Run, span: int | None = None) -> Windows:
  """The windows that a run's clips span.

  A sampler by time is taken by frame: inside a window the rate is steady but for rare films.

  Args:
    run: the run.
    span: frames of a window (default: see `clip_span`).

  Raises:
    InputError: the run reads no films.
  """
  check_reads_films(run)
  sampler: Any = run.recipe.sampler
  by_frame = dataclasses.replace(sampler, by="frame") if hasattr(sampler, "by") else sampler
  short_side = default_short_side(run)
  return Windows(span or clip_span(run), by_frame, run.recipe.stream, run.crops(1), short_side)


def clip_span(run: Run) -> int:
  """Frames of a film that a clip of the run spans.

  A dense sampler says so. One that samples whole videos spans the median length of the run's own; where that data set
  is not there, as many frames as a clip has.

  Args:
    run: the run.
  """
  sampler: Any = run.recipe.sampler
  if hasattr(sampler, "stride"):
    return sampler.num_frames * sampler.stride
  if hasattr(sampler, "window"):
    return sampler.window
  return stored_length(run) or sampler.clip_length


def run_attention(run: Run) -> Attend:
  """The attention of a run's network, which puts it into `Output.aux`; errors where it does not.

  Args:
    run: with its variables.
  """

  @jax.jit
  def apply(variables: Any, clips: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    output, _ = forward(run.network, variables, run.normalise(clips), False, dtype=run.recipe.dtype)
    attention = output.aux.get("attention")
    if attention is None or attention.ndim != 2 or clips.shape[1] % attention.shape[1]:
      raise InputError(
        f"{run.workdir}: its network, {type(run.network).__name__}, gives frames no attention: name the run of an"
        " RTSAE, or leave --workdir out"
      )
    return attention, output.aux.get("output_gates")

  def attend(clips: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    attention, gates = apply(run.variables, jnp.asarray(clips))
    return np.asarray(attention), None if gates is None else np.asarray(gates)

  return attend


def scan_attention(file: str, attend: Attend, windows: Windows, describe: Describe, max_corrupt: int = 0) -> Candidates:
  """Describes the frames of a film that a network sees, with its attention to each.

  The curve is the score of Eq. 21 over the whole film: the norm of a frame's output gates over the sum of the norms;
  the same of its attention where the network gives no gates.

  Args:
    file: path of the film.
    attend: the network.
    windows: how the film becomes clips.
    describe: makes the descriptor of a frame.
    max_corrupt: damaged frames and packets that are let through.

  Raises:
    InputError: the file is broken, every frame is damaged, or the attention is not finite.
  """
  film = Watched(file, windows.short_side, max_corrupt)
  seen: list[_Seen] = []
  for window in _cut(film, windows):
    seen += _look(window, attend, windows, describe)
  norms = np.array([one.norm for one in seen])
  if not np.isfinite([norms.sum(), sum(one.attention for one in seen)]).all():
    raise InputError(f"{file}: the network's attention is not finite: choose another --checkpoint")
  return film.candidates(
    [one.number for one in seen],
    [one.time for one in seen],
    [one.descriptor for one in seen],
    [one.blank for one in seen],
    norms / max(norms.sum(), np.finfo(float).tiny),
    np.array([one.attention for one in seen]),
  )


class _Held(NamedTuple):
  """A frame of the window at hand."""

  number: int
  time: float
  corrupt: bool
  jpeg: bytes
  grey: np.ndarray


class _Window(NamedTuple):
  """A window: the frames of its clip by place, those after each of them where there is flow, and the clip's places."""

  held: dict[int, _Held]
  places: np.ndarray


class _Seen(NamedTuple):
  """What is kept of a frame."""

  number: int
  time: float
  descriptor: np.ndarray
  blank: bool
  attention: float
  norm: float


def _cut(film: Watched, windows: Windows) -> Iterator[_Window]:
  """Consecutive windows. A frame stays until the one after it has come, for the flow between them."""
  flow, full = "colour" not in windows.stream.gives, windows.sampler.test(windows.span)[0]
  wanted = set(full.tolist()) | ({place + 1 for place in full.tolist()} if flow else set())
  held: dict[int, _Held] = {}
  count, first = 0, True

  def places() -> np.ndarray:
    """Of the clip: a film shorter than a window is sampled as a short video; a rest repeats its last frame."""
    return windows.sampler.test(count)[0] if first and count < windows.span else np.minimum(full, count - 1)

  last = None
  for frame, time in film:
    now = functools.partial(_hold, film.frames - 1, time, frame, flow)
    if count == windows.span:
      if count in wanted:
        held[count] = now()
      yield _Window(held, places())
      held, count, first = {}, 0, False
    if first or count in wanted:
      held[count] = now()
    last = now
    count += 1
  if last is not None:
    if count - 1 not in held:  # the frame that a rest repeats
      held[count - 1] = last()
    yield _Window(held, places())


def _hold(number: int, time: float, frame: Frame, flow: bool) -> _Held:
  grey = grey_levels(frame.image) if flow else np.empty(0, np.uint8)
  return _Held(number, time, frame.corrupt, encode_frames([frame.image])[0], grey)


def _look(window: _Window, attend: Attend, windows: Windows, describe: Describe) -> Iterator[_Seen]:
  """The frame of each step of a window's clip, each once and in order, but damaged ones."""
  held, places = window
  jpegs = [held[place].jpeg for place in places.tolist()]
  record = Record(0, "a film", len(jpegs), 0.0, jpegs)
  frames = record
  if "colour" not in windows.stream.gives:  # flow images are one fewer than frames
    after = [held.get(place + 1, held[place]) for place in places.tolist()]
    flow = encode_flow([held[place].grey for place in places.tolist()], [one.grey for one in after])
    record = Record(0, "a film", len(jpegs) + 1, 0.0, [*jpegs, jpegs[-1]], flow=flow)
  clip = windows.stream.of(record).decode(np.arange(len(jpegs)))
  attention, gates = attend(windows.crop(clip[None]))
  norms = attention[0] if gates is None else np.linalg.norm(gates[0], axis=-1)
  steps = places[:: len(places) // attention.shape[1]]  # the first frame of each
  for place, step in zip(*(x.tolist() for x in np.unique(steps, return_index=True)), strict=True):
    one = held[place]
    if not one.corrupt:
      image = frames.decode([step * (len(places) // len(steps))])[0]
      yield _Seen(
        one.number, one.time, describe(image), shows_nothing(image), float(attention[0][step]), float(norms[step])
      )
