"""Reading one film for a data set: decoded whole, cut into clips, or refused with the reason."""

import dataclasses
import itertools
import pathlib
from collections.abc import Mapping
from typing import Any

from vidjax.data import flow, folder, schema, video_file
from vidjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Storage:
  """How films are stored.

  Attributes:
    short_side: the short side of frames is shrunk to this.
    encoding: "jpeg" stores frames; "video" the original files: far smaller, slower to sample.
    clip_seconds: films are cut into clips of this length; None keeps them whole.
    flow: store the optical flow of neighbouring frames, too.
  """

  short_side: int = 256
  encoding: str = "jpeg"
  clip_seconds: float | None = None
  flow: bool = False


def read(film: folder.Film, storage: Storage) -> tuple[list[Mapping[str, Any]], int]:
  """The examples of a film, and the number of frames its header states; raises an InputError for an unreadable file."""
  name = film.name.encode("utf-8", "backslashreplace").decode()
  if film.line and not film.path.exists():
    if film.path == pathlib.Path(film.name):
      raise InputError(f"{name} does not exist")
    home = film.path.absolute().parents[len(pathlib.Path(film.name).parts) - 1]
    hint = ", with / between folders" if "\\" in name else ""
    raise InputError(f"{name} does not exist in {home}: paths are relative to the list's folder{hint}")
  info = video_file.probe(film.path, name)
  frames, grey = video_file.decode(film.path, storage.short_side, name=name), []
  if storage.flow:
    frames = flow.keep_grey(frames, grey)
  if storage.encoding == "video":
    count = sum(1 for _ in frames)
    _check_flow(storage, name, count)
    file = {"encoded": film.path.read_bytes(), "short_side": storage.short_side}
    file |= {"flow": flow.encode_flow(grey[:-1], grey[1:])} if storage.flow else {}
    return [schema.example(film.label, name, info.fps, count, **file)], info.num_frames
  jpegs = schema.encode_frames(frames)
  flows = flow.encode_flow(grey[:-1], grey[1:]) if storage.flow else []

  def clip(video_id: str, start: int, stop: int) -> Mapping[str, Any]:
    between = {"flow": flows[start : stop - 1]} if storage.flow else {}
    return schema.example(film.label, video_id, info.fps, stop - start, video=jpegs[start:stop], **between)

  if not storage.clip_seconds:
    _check_flow(storage, name, len(jpegs))
    return [clip(name, 0, len(jpegs))], info.num_frames
  if not info.fps:
    raise InputError(f"{name} states no frame rate, so it cannot be cut into clips of some seconds")
  edges = cut(len(jpegs), max(1, round(info.fps * storage.clip_seconds)))
  if storage.flow and len(edges) > 1 and len(jpegs) - edges[-1][0] < 2:
    edges[-2:] = [(edges[-2][0], len(jpegs))]  # a rest without flow joins the clip before it
  _check_flow(storage, f"a clip of {name}", min(stop - start for start, stop in edges))
  return [clip(f"{name}#{number:04d}", *edge) for number, edge in enumerate(edges)], info.num_frames


def _check_flow(storage: Storage, what: str, num_frames: int) -> None:
  if storage.flow and num_frames < 2:
    raise InputError(f"{what} has {num_frames} frame, and flow takes two: leave it out, or --flow, or cut longer clips")


def cut(num_frames: int, length: int) -> list[tuple[int, int]]:
  """First and one past the last frame of every clip; a rest shorter than half a clip joins the last one."""
  clips = max(1, (num_frames + length // 2) // length)
  edges = [clip * length for clip in range(clips)] + [num_frames]
  return list(itertools.pairwise(edges))
