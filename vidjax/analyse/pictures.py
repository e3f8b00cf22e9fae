"""Pictures of clips: a batch as the network sees it; frames with the evidence for a class over them."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from vidjax.errors import InputError
from vidjax.files import whole

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf", ".svg")
"""Of the files a picture can be written to."""


def save_batch(
  path: str | os.PathLike,
  clips: np.ndarray,
  titles: Sequence[str],
  mean: Sequence[float] | None = None,
  std: Sequence[float] | None = None,
  max_clips: int = 8,
  max_frames: int = 8,
) -> None:
  """Draws the first clips of a batch, one row each, with frames spread over their length.

  Args:
    path: of the picture; its ending is one of ENDINGS.
    clips: `[B, T, H, W, C]`, uint8 or floats in the space the network sees.
    titles: one for each clip, such as its class.
    mean: of the normalisation that floats went through, of values in [0, 1]; without it they are stretched.
    std: its standard deviation.
    max_clips: rows at most.
    max_frames: columns at most.
  """
  clips = np.asarray(clips)[:max_clips]
  frames = spread(clips.shape[1], max_frames)
  images = to_uint8(clips[:, frames], mean, std)
  figure, grid = _grid(len(images), len(frames), images.shape[2:4], gap=0.2)
  for row, (clip, title) in enumerate(zip(images, titles, strict=False)):
    for column, image in enumerate(clip):
      grid[row, column].imshow(image)
    _caption(grid[row, 0], title)
  for column, frame in enumerate(frames):
    grid[-1, column].set_xlabel(f"frame {frame + 1} of {clips.shape[1]}", fontsize=7, labelpad=2)
  save_figure(figure, path)


@dataclasses.dataclass(frozen=True, eq=False)
class Strip:
  """A row of frames with maps over them.

  Attributes:
    frames: uint8 `[T, H, W, C]`.
    numbers: int `[T]`, 0-based numbers of the frames in the video.
    maps: `[T, H, W]`, not negative.
    most: the number that has full colour, if the frames shown have no larger one.
    name: what stands beside the row, in one line or several.
    point: (frame, y, x), marked there: y and x are shares of height and width.
    notes: one a frame, written into it.
  """

  frames: np.ndarray
  numbers: np.ndarray
  maps: np.ndarray
  name: str = ""
  most: float = 1e-12
  point: tuple[int, float, float] | None = None
  notes: Sequence[str] = ()


def save_explanation(
  path: str | os.PathLike,
  clip: np.ndarray,
  evidence: Sequence[np.ndarray],
  frame_numbers: np.ndarray,
  title: str,
  max_frames: int = 8,
  label: str = "evidence",
  names: Sequence[str] = (),
) -> None:
  """Draws frames of a clip, and under them the same frames with Grad-CAM or other maps over them, a row for each.

  Args:
    path: of the picture; its ending is one of ENDINGS.
    clip: uint8 `[T, H, W, C]` as cut for the network.
    evidence: maps `[T, H, W]` from `gradcam.to_pixels`, not negative; each is scaled to its maximum.
    frame_numbers: int `[T]`, 0-based numbers of the frames in the video.
    title: such as file, class and score.
    max_frames: columns at most, spread over the clip.
    label: what the maps show.
    names: of the rows of maps, as from `gradcam.map_names`; none where they need no telling apart.
  """
  named = zip(evidence, names or [""] * len(evidence), strict=True)
  save_strips(path, [Strip(clip, frame_numbers, maps, name) for maps, name in named], title, max_frames, label)


def save_strips(
  path: str | os.PathLike, strips: Sequence[Strip], title: str, max_frames: int = 8, label: str = "evidence"
) -> None:
  """Draws rows of maps above each other, as many columns of each, and plain frames above those that have the same.

  Args:
    path: of the picture; its ending is one of ENDINGS.
    strips: the rows.
    title: of the picture.
    max_frames: columns at most, spread over the clip; the frames of marked points are always among them.
    label: what the maps show.
  """
  count = min(max_frames, *(len(strip.frames) for strip in strips))
  rows: list[tuple[Strip, bool]] = []
  for strip in strips:
    last = rows[-1][0] if rows else None
    if last is None or not (_same(last.frames, strip.frames) and _same(last.numbers, strip.numbers)):
      rows.append((strip, False))
    rows.append((strip, True))
  plain = len(rows) - len(strips)
  figure, grid = _grid(len(rows), count, strips[0].frames.shape[1:3], gap=0.0, head=0.1 + 0.2 * plain, side=0.5)
  heat = None
  for line, (strip, mapped) in zip(grid, rows, strict=True):
    columns = spread(len(strip.frames), count)
    if strip.point and strip.point[0] not in columns:
      columns[np.abs(columns - strip.point[0]).argmin()] = strip.point[0]
    images = to_uint8(strip.frames[columns])
    scaled = strip.maps[columns] / max(float(strip.maps[columns].max()), strip.most)
    for place, (axes, frame) in enumerate(zip(line, columns, strict=True)):
      axes.imshow(images[place])
      if mapped:
        heat = axes.imshow(scaled[place], cmap="turbo", vmin=0, vmax=1, alpha=0.25 + 0.45 * scaled[place])
      else:
        axes.set_title(f"frame {strip.numbers[frame]}", fontsize=8, pad=3)
      if mapped and strip.notes:
        box = {"facecolor": "black", "alpha": 0.5, "pad": 1, "linewidth": 0}
        axes.text(0.04, 0.05, strip.notes[frame], transform=axes.transAxes, fontsize=6.5, color="white", bbox=box)
      if strip.point and strip.point[0] == frame:
        _mark(axes, strip.point[1] * images.shape[1] - 0.5, strip.point[2] * images.shape[2] - 0.5)
    if mapped:
      name = "\n".join(shorten(part) for part in strip.name.split("\n"))
      line[0].set_ylabel(name, fontsize=8 if len(name) <= 20 else 6.5, labelpad=3, parse_math=False)
  bar = figure.colorbar(heat, ax=list(grid.flat), fraction=0.02, pad=0.01, ticks=[0, 1])
  bar.ax.set_yticklabels(["none", "most"], fontsize=8)
  bar.set_label(label, fontsize=8)
  width = int(72 * figure.get_figwidth() / (0.6 * 11))  # characters of 11 points
  figure.suptitle(shorten(title, width), fontsize=11, parse_math=False)
  save_figure(figure, path)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
  return one is other or np.array_equal(one, other)


def _mark(axes: Any, y: float, x: float) -> None:
  """A red point in a white ring, and a frame of the same red around the image."""
  axes.plot(x, y, "o", color="red", markeredgecolor="white", markeredgewidth=0.8, markersize=5, clip_on=False)
  axes.spines[:].set(color="red", linewidth=1.5)


def save_figure(figure: Any, path: str | os.PathLike | IO[bytes], **options: Any) -> None:
  """Writes a picture, whole or not at all.

  Args:
    figure: of matplotlib.
    path: its ending is one of ENDINGS; or an open file.
    **options: of `Figure.savefig`.

  Raises:
    InputError: the path has another ending.
  """
  if not isinstance(path, (str, os.PathLike)):
    figure.savefig(path, **options)
    return
  path = check_picture_path(path)
  with whole(path) as partial:
    figure.savefig(partial, format=path.suffix[1:].lower(), **options)


def check_picture_path(path: str | os.PathLike) -> pathlib.Path:
  """The path; raises InputError unless its ending is one of ENDINGS."""
  path = pathlib.Path(path)
  if path.suffix.lower() not in ENDINGS:
    raise InputError(f"{path} has no ending of a picture: choose one of {', '.join(ENDINGS)}")
  return path


def explain_paths(out: pathlib.Path, files: Sequence[str]) -> list[pathlib.Path]:
  """OUT.png for one file; OUT-STEM.png for each of several, numbered where a stem comes again: OUT-STEM-2.png.

  Args:
    out: the path that was asked for.
    files: the videos, one picture each.
  """
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


def shorten(text: str, length: int = 32) -> str:
  """The text as `legible`, its end replaced by an ellipsis where it is longer than `length`.

  Args:
    text: any text.
    length: characters of the result at most.
  """
  parts = [legible(letter) for letter in text]
  if sum(map(len, parts)) <= length:
    return "".join(parts)
  while parts and sum(map(len, parts)) >= length:
    parts.pop()
  return "".join(parts).rstrip() + "…"


def legible(text: str) -> str:
  r"""The text, letters the font lacks and those that are not printed as escapes such as `\u6f22`."""
  known = _letters()
  escape = (letter.encode("unicode_escape").decode() for letter in text)
  return "".join(x if ord(x) in known and x.isprintable() else code for x, code in zip(text, escape, strict=True))


@functools.cache
def _letters() -> frozenset[int]:
  """Code points of matplotlib's font."""
  from matplotlib.font_manager import FontProperties, findfont, get_font

  return frozenset(get_font(findfont(FontProperties())).get_charmap())


def spread(length: int, limit: int) -> np.ndarray:
  """At most `limit` of the numbers below `length`, evenly spread, the first and the last among them.

  Args:
    length: how many numbers there are, 0 to `length - 1`.
    limit: how many of them to take.
  """
  return np.unique(np.linspace(0, length - 1, min(length, limit)).round().astype(int))


def to_uint8(clips: np.ndarray, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> np.ndarray:
  """Clips `[..., C]` to RGB uint8 `[..., 3]`; other numbers of channels become grey, their mean.

  Args:
    clips: uint8, or floats.
    mean: what was subtracted from the channels of float clips, in units of [0, 1].
    std: what they were divided by then. Without both, floats are stretched from their smallest to their largest value.
  """
  if clips.dtype != np.uint8:
    clips = clips.astype(np.float32)
    if mean is not None and std is not None:
      clips = 255 * (clips * np.asarray(std, np.float32) + np.asarray(mean, np.float32))
    else:
      low, high = clips.min(), clips.max()
      clips = (clips - low) * (255 / max(float(high - low), 1e-12))
    clips = clips.round().clip(0, 255).astype(np.uint8)
  if clips.shape[-1] == 3:
    return clips
  return np.repeat(clips.mean(axis=-1, keepdims=True).astype(np.uint8), 3, axis=-1)


def _grid(rows: int, columns: int, size: tuple[int, int], gap: float, head: float = 0.0, side: float = 0.0) -> Any:
  """A figure and its axes `[rows, columns]` for images of `size`, without ticks; lengths in inches."""
  from matplotlib.figure import Figure
  from matplotlib.layout_engine import ConstrainedLayoutEngine

  width = 1.3 * size[1] / max(size)
  height = 1.3 * size[0] / max(size)
  total = (columns * (width + 0.06) + 0.2 + side, rows * (height + gap + 0.06) + 0.2 + head)
  figure = Figure(figsize=(max(total[0], 4.5), total[1]), dpi=150)
  grid = figure.subplots(rows, columns, squeeze=False)
  figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0))
  for axes in grid.flat:
    axes.set(xticks=[], yticks=[])
  return figure, grid


def _caption(axes: Any, text: str) -> None:
  axes.set_title(shorten(text, 60), loc="left", fontsize=8, pad=3, parse_math=False)
