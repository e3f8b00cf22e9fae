"""Films with summaries of people, in the layout of VSUMM (de Avila 2011): the Open Video Project and YouTube sets.

Below one folder lie the films, and for each a folder of its name with `user*/Frame<N>.jpeg`. VSUMM's site offers both
sets. The cartoons are those that Gong et al. (2014, notes of their data) leave out; rtsae 5.2 names none.
"""

import pathlib
import re
from typing import NamedTuple

import cv2
import numpy as np

from vidjax.errors import InputError
from vidjax.summarize.descriptors import hue_histogram

OVP = tuple(f"v{number}" for number in range(21, 71))
"""50 films of the Open Video Project."""
YOUTUBE = tuple(f"v{number}" for number in (*range(11, 21), *range(71, 111)))
"""50 films of YouTube."""
CARTOONS = (*(f"v{number}" for number in range(11, 21)), "v82")
"""11 of them."""
SETS = {"ovp": OVP, "youtube": tuple(name for name in YOUTUBE if name not in CARTOONS), "youtube50": YOUTUBE}
"""What `--set` names."""
FILMS = (".avi", ".flv", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


class Video(NamedTuple):
  """A film with the summaries of its users.

  Attributes:
    name: of the film's file, without its ending.
    file: the film.
    users: the folder of each user, sorted.
  """

  name: str
  file: pathlib.Path
  users: tuple[pathlib.Path, ...]


def find(source: pathlib.Path, only: str | None = None) -> tuple[list[Video], list[str]]:
  """The films below a folder that have summaries, in the order of their numbers; and what is wrong with others.

  Args:
    source: the folder.
    only: a name of SETS; other films are left out.

  Raises:
    InputError: there is none.
  """
  if not source.is_dir():
    raise InputError(f"--source={source} is no folder: name the one with the films and their user*/Frame<N>.jpeg")
  films: dict[str, list[pathlib.Path]] = {}
  for path in sorted(source.glob("**/*")):
    if path.suffix.lower() in FILMS:
      films.setdefault(path.stem, []).append(path)
  folders: dict[str, list[pathlib.Path]] = {}
  for user in sorted(source.glob("**/user*/")):
    if user.parent.name in films or frames(user):
      folders.setdefault(user.parent.name, []).append(user)
  names = [name for name in folders if only is None or name in SETS[only]]
  if not names:
    raise InputError(
      f"--source={source} holds no {'folder' if only is None else f'film of the set {only} with a folder'}"
      " user*/ of summaries: it takes films, and for each a folder of its name with user*/Frame<N>.jpeg"
    )
  videos, wrong = [], []
  for name in sorted(names, key=_by_number):
    files, users = films.get(name, []), folders[name]
    if len(files) != 1 or len({user.parent for user in users}) > 1:
      what = f"has {len(files)} films" if len(files) != 1 else "has several folders of users"
      wrong.append(f"{users[0].parent} {what} named {name} below {source}: there must be one")
    else:
      videos.append(Video(name, files[0], tuple(users)))
  return videos, wrong


def frames(user: pathlib.Path) -> list[pathlib.Path]:
  """The pictures Frame<N>.jpeg of a user's folder."""
  return [path for path in user.iterdir() if re.fullmatch(r"Frame\d+\.jpe?g", path.name, re.IGNORECASE)]


def user_descriptors(user: pathlib.Path) -> np.ndarray:
  """Hue histograms `[U, 16]` of a user's frames, in the order of their numbers.

  Args:
    user: folder with Frame<N>.jpeg.

  Raises:
    InputError: there is no frame, or one cannot be read.
  """
  paths = frames(user)
  if not paths:
    raise InputError(f"{user} holds no Frame<N>.jpeg: leave this user out")
  histograms = []
  for path in sorted(paths, key=lambda path: _by_number(path.name)):
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
    if image is None:
      raise InputError(f"{path} is no picture, or a damaged one: put the original back")
    histograms.append(hue_histogram(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))
  return np.stack(histograms)


def _by_number(name: str) -> tuple[int, str]:
  found = re.search(r"\d+", name)
  return int(found[0]) if found else -1, name
