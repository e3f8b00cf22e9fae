"""`synthetic_actions`: videos whose classes are motions, drawn on first use (see `vidjax.data.synthetic_clips`).

- `order`: 8 actions in 4 time-reversed pairs, 24 frames. A model blind to the order of the frames cannot exceed 50%.
- `order:48`: the same in 48 frames, each motion half as fast, where segments of many frames need the room.
- `scene:SHARE`: as `order`, and in SHARE of the training clips the background's texture tells the class; elsewhere in
  training it is one of the other textures, and in validation any: how much is static appearance leaned on?
- `sparse`: 64 frames; the action shows in 6 to 10 of them (`key_frames`), the rest is a motion all classes share.
- `repeat`: 96 frames of repeated short motions (`frame_labels`); the class is their order and proportion.
"""

import concurrent.futures
import dataclasses
import math
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import rich.progress

from vidjax.console import screen
from vidjax.data import schema, synthetic_clips, write
from vidjax.errors import InputError

FPS = 12.0
SEED = 2022
SHORT = {"train": 2000, "validation": 500}
LONG = {"train": 800, "validation": 200}


@dataclasses.dataclass(frozen=True)
class Variant:
  """A variant of the data set.

  Attributes:
    name: its TFDS config.
    clips: number of clips of every split.
    optional: the optional features its records have.
    share: for `scene`, the share of training clips whose texture agrees with the class.
    num_frames: of a clip of `order` and `scene`.
  """

  name: str
  clips: Mapping[str, int]
  optional: tuple[str, ...] = ()
  share: float | None = None
  num_frames: int = 24

  @property
  def class_names(self) -> list[str]:
    """Names of the labels, in their order."""
    return list(synthetic_clips.ROUTINES if self.name == "repeat" else synthetic_clips.ACTIONS)


VARIANTS = {
  "order": Variant("order", SHORT),
  "order:48": Variant("order_48", SHORT, num_frames=48),
  **{f"scene:{share}": Variant(f"scene_{share}", SHORT, share=share) for share in (0.5, 0.7, 0.9)},
  "sparse": Variant("sparse", LONG, optional=("key_frames",)),
  "repeat": Variant("repeat", LONG, optional=("frame_labels",)),
}


def prepare(name: str, data_dir: str) -> pathlib.Path:
  """The TFDS folder of a variant ("order", "scene:.9", ...), generated where it is not there yet.

  The clips depend on the variant, the split and their number alone. A second process asking for the same variant waits
  for the first; an interrupted generation leaves nothing behind that could be taken for a data set.

  Args:
    name: the variant.
    data_dir: the folder of all data sets.

  Raises:
    InputError: there is no such variant.
  """
  variant = VARIANTS.get(name.replace(":.", ":0."))
  if variant is None:
    raise InputError(
      f"there is no synthetic_actions/{name}; there is order, order:48, scene:.5, scene:.7, scene:.9, sparse and repeat"
    )
  folder = pathlib.Path(data_dir) / "synthetic_actions" / variant.name / write.VERSION
  if not folder.is_dir():
    write.fill_folder(folder, lambda partial: _generate(variant, partial))
  return folder


def make_example(variant: Variant, split: str, number: int) -> Mapping[str, Any]:
  """The example of clip `number`; classes take turns, so that every split is balanced.

  Args:
    variant: of VARIANTS.
    split: name of the split.
    number: of the clip in its split; its remainder by the number of classes is the label.
  """
  rng = np.random.default_rng([SEED, *variant.name.encode(), *split.encode(), number])
  label = number % len(variant.class_names)
  if variant.name == "repeat":
    clip = synthetic_clips.draw_repeat(variant.class_names[label], rng)
  elif variant.name == "sparse":
    clip = synthetic_clips.draw_sparse(label, rng)
  else:
    clip = synthetic_clips.draw_action(label, rng, texture(variant, split, number), variant.num_frames)
  optional = {name: getattr(clip, name) for name in variant.optional}
  video_id = f"{variant.name}-{split}-{number:05d}"
  return schema.example(label, video_id, FPS, len(clip.video), video=schema.encode_frames(clip.video), **optional)


def texture(variant: Variant, split: str, number: int) -> int:
  """Number of the texture behind a clip: in `scene`, that of the class in exactly SHARE of a class's training clips.

  Args:
    variant: of VARIANTS.
    split: name of the split.
    number: of the clip in its split.
  """
  if variant.share is None:
    return synthetic_clips.TEXTURES.index("blotches")
  rng = np.random.default_rng([SEED, *split.encode(), number])
  textures = len(synthetic_clips.TEXTURES)
  if split != "train":
    return int(rng.integers(textures))
  turn, label = divmod(number, len(synthetic_clips.ACTIONS))
  agrees = math.floor((turn + 1) * variant.share + 1e-9) > math.floor(turn * variant.share + 1e-9)
  return label if agrees else int(label + rng.integers(1, textures)) % textures


def _generate(variant: Variant, folder: pathlib.Path) -> None:
  """Draws and writes every clip, with a progress line."""
  numbers = [(split, number) for split, clips in variant.clips.items() for number in range(clips)]
  console = screen(error=True)

  def examples() -> Iterator[tuple[str, Mapping[str, Any]]]:
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
      drawn = threads.map(lambda clip: make_example(variant, *clip), numbers)
      message = f"generating synthetic_actions/{variant.name}, once"
      drawn = rich.progress.track(drawn, message, len(numbers), console=console)
      yield from ((split, example) for (split, _), example in zip(numbers, drawn, strict=True))

  name = f"synthetic_actions/{variant.name}"
  write.write_records(folder, name, variant.clips, examples(), variant.class_names, variant.optional)
