"""The contracts every part of vidjax shares.

Clips are `[B, T, H, W, C]` everywhere: uint8 on the host, float on the device. The temporal axis is -4.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import flax.struct
import jax
import numpy as np

from vidjax.errors import MissingOutput

Array: TypeAlias = jax.Array | np.ndarray
Tree: TypeAlias = Any
"""A pytree of arrays."""

Batch: TypeAlias = Mapping[str, Array]
"""What the loader yields, one leading batch axis on every entry.

- `video` uint8 `[B, T, H, W, C]` in training, `[B, V, T, H, W, C]` with V views in evaluation; of stored features
  float32 `[B, T, F]` and `[B, V, T, F]`. The stream says what it is made of.
- `label` int32 `[B]`; bool `[B, K]` where a video has several.
- `mask` bool `[B]`: False marks padding, which counts nowhere.
- `index` int32 `[B]`: position of the record in its split.
- `frame_index` int32 `[B, T]` or `[B, V, T]`: which frames of the video were read.
- `damaged` bool `[B]`: the record of this place could not be read; in training another one replaces it.

Where the task's `targets` name them, and the data set has them:

- `key_frames` bool `[B, T]` or `[B, V, T]`: which of the frames that were read belong to the key moment.
- `frame_labels` int32 `[B, T]` or `[B, V, T]`: the labels of the frames that were read.

On the device, mixing adds `target` float32 `[B, K]`, the soft labels that replace `label`.
"""


FRAMEWISE = ("key_frames", "frame_labels")
"""What a batch can have of each frame, where the records hold it and the task asks for it."""


@flax.struct.dataclass
class Output:
  """What every network returns.

  Attributes:
    logits: `[B, K]` class scores before the softmax, None where a network classifies nothing.
    features: `[B, D]` the pooled vector the classifier sees (mean over time).
    aux: named extras an objective may ask for: reconstructions, projections, per-frame or per-task logits.
  """

  logits: jax.Array
  features: jax.Array
  aux: dict[str, Any] = flax.struct.field(default_factory=dict)

  def take(self, name: str) -> Any:
    """`aux[name]`; raises MissingOutput naming what there is where the network does not provide it."""
    if name not in self.aux:
      have = ", ".join(sorted(self.aux)) or "nothing"
      raise MissingOutput(f"aux[{name!r}] is asked for, which this network does not provide; it provides: {have}")
    return self.aux[name]


@flax.struct.dataclass
class State:
  """Everything training changes, and nothing else: arrays only.

  Attributes:
    step: int32 scalar, optimizer updates done.
    params: trainable parameters, float32.
    batch_stats: running statistics of the normalisation layers, float32.
    opt_state: the optimizer's state.
    ema: `{"params", "batch_stats"}` averaged over the updates, or None.
    blend: what the blend remembers, such as learned weights of the losses, or None.
  """

  step: jax.Array
  params: Tree
  batch_stats: Tree
  opt_state: Tree
  ema: Tree | None = None
  blend: Tree | None = None


Objective: TypeAlias = Callable[[Output, Batch], dict[str, jax.Array]]
"""Maps what a network returned and the batch to named scalar losses."""

Pullback: TypeAlias = Callable[[dict[str, jax.Array]], Tree]
"""Cotangents of named losses -> gradient of the parameters (linear).

Each call costs one backward pass through what the losses it names depend on; those left out count as 0, at no cost.
"""


class Blend(NamedTuple):
  """How the gradients of named losses become one update; `train.multitask.make_blend` makes one of a rule.

  Attributes:
    init: what it remembers at first, None for nothing; kept in `State.blend`.
    update: `(losses, pullback, step, memory) -> (gradient, named scalars to log, new memory)`.
    linear: its weights do not depend on losses or gradients, so that with `accumulate` it is called for each part of
      the batch. Others are called once, with the mean gradient of each loss over the parts.
  """

  init: Callable[[], Tree]
  update: Callable[[dict[str, jax.Array], Pullback, jax.Array, Tree], tuple[Tree, dict[str, jax.Array], Tree]]
  linear: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
  """The answers of a network to the videos of a split, in the order of the split.

  Attributes:
    index: int `[N]`, position of the record in its split.
    label: int `[N]`; bool `[N, K]` where a video has several.
    scores: float32 `[N, ...]`, the task's answers, averaged over the views of each video.
    losses: mean over the clips of each loss, and of each number that the task measures.
    extras: the other answers of the task and its other targets, by name, `[N, ...]` of the first view.
  """

  index: np.ndarray
  label: np.ndarray
  scores: np.ndarray
  losses: Mapping[str, float] = dataclasses.field(default_factory=dict)
  extras: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Summary(NamedTuple):
  """What a task makes of the scores of a split.

  Attributes:
    numbers: metrics by name. They are logged, and one of them may choose the best checkpoint.
    details: further entries of the report, such as counts.
    tables: name -> the rows of a CSV file, a header first.
    pictures: name -> what draws a picture to a path or an open file.
    line: the metrics in one line, for people.
  """

  numbers: Mapping[str, float]
  details: Mapping[str, Any] = {}
  tables: Mapping[str, Sequence[Sequence[Any]]] = {}
  pictures: Mapping[str, Callable[[str | IO[bytes]], None]] = {}
  line: str = ""


@runtime_checkable
class Task(Protocol):
  """What is learnt: how batches, outputs and answers are read. See `vidjax.tasks`.

  Attributes:
    targets: what else of a batch goes to the device beside the clips, such as "label" and "mask".
    metric: the number of a validation that chooses the best checkpoint. Higher is better, lower with "-" before it.
  """

  @property
  def targets(self) -> tuple[str, ...]:
    """See above."""
    ...

  @property
  def metric(self) -> str:
    """See above."""
    ...

  def prepare(self, batch: Batch) -> Batch:
    """The batch with what the losses compare with, on the device, before clips are mixed."""
    ...

  def measure(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """Named numbers `[B]` of every clip, averaged over those whose `mask` is True.

    Args:
      output: of the network, for `[B]` clips.
      batch: after `prepare` and, in training, mixing.
    """
    ...

  def answer(self, output: Output) -> jax.Array | Mapping[str, jax.Array]:
    """What is kept of a view, `[B, ...]`; the answers to a video's views are averaged.

    Several by name: "scores" are averaged, and of the others that of the first view is kept in `Scores.extras`.
    """
    ...

  def summarize(self, scores: Scores, class_names: Sequence[str]) -> Summary:
    """The metrics of a split, and what the report says and shows of it.

    Args:
      scores: of the whole split.
      class_names: the K names, in the order of the labels.
    """
    ...


@runtime_checkable
class Sampler(Protocol):
  """Chooses frame numbers, as in `vidjax.data.sampling`."""

  @property
  def clip_length(self) -> int:
    """Frames in a clip, T."""
    ...

  def train(self, num_frames: int, rng: np.random.Generator, times: np.ndarray | None = None, /) -> np.ndarray:
    """Frame numbers `[T]` of a random clip.

    Args:
      num_frames: of the video.
      rng: draws the clip.
      times: seconds of all frames from the first, `[num_frames]`, None where they are not known.
    """
    ...

  def test(self, num_frames: int, clips: int = 1, times: np.ndarray | None = None, /) -> np.ndarray:
    """Frame numbers `[clips, T]` of the test clips.

    Args:
      num_frames: of the video.
      clips: how many.
      times: as in `train`.
    """
    ...


class Film(Protocol):
  """One video as a stream shows it: `num_frames` places of which a sampler chooses some.

  Attributes:
    num_frames: how many.
    times: float64 `[num_frames]`, seconds of each from the first, or None.
  """

  @property
  def num_frames(self) -> int:
    """See above."""
    ...

  @property
  def times(self) -> np.ndarray | None:
    """See above."""
    ...

  def decode(self, numbers: np.ndarray, /) -> np.ndarray:
    """What the clip holds at these places, `[len(numbers), ...]`; raises DamagedRecord."""
    ...


@runtime_checkable
class Stream(Protocol):
  """What a clip is made of: frames, optical flow, both, or stored features. See `vidjax.data.streams`.

  Attributes:
    gives: what transforms may rely on: "pixels" (clips `[T, H, W, C]`), "colour" (RGB).
    signed: the channels that a mirror turns into their opposite, such as the horizontal motion of flow.
    dtype: of the clips on the host.
  """

  @property
  def gives(self) -> frozenset[str]:
    """See above."""
    ...

  @property
  def signed(self) -> tuple[int, ...]:
    """See above."""
    ...

  @property
  def dtype(self) -> type:
    """See above."""
    ...

  def clip_shape(self, frames: int, size: int) -> tuple[int, ...]:
    """The shape of a clip, `[T, H, W, C]` or `[T, F]`.

    Args:
      frames: T.
      size: H and W in pixels, for clips that have pixels.
    """
    ...

  def check(self, name: str, holds: Mapping[str, Any]) -> None:
    """Raises an InputError with the remedy where a data set cannot be read so.

    Args:
      name: of the data set.
      holds: the names of what its records hold, each with its shape.
    """
    ...

  def of(self, record: Any) -> Film:
    """The film of a `vidjax.data.schema.Record`; raises DamagedRecord."""
    ...

  def read_file(
    self, file: str, choose: Callable[[int, np.ndarray], np.ndarray], short_side: int | None
  ) -> tuple[np.ndarray, np.ndarray]:
    """Reads a video file: the chosen numbers `[..., T]`, and what is there, `[..., T, H, W, C]` or `[..., T, F]`.

    Args:
      file: path of the video.
      choose: (num_frames, seconds `[num_frames]` from the first) -> 0-based numbers `[..., T]`.
      short_side: pixels to which larger frames are shrunk, aspect kept; None leaves them as they are.
    """
    ...
