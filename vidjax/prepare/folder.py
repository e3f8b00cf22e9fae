"""Videos in folders or lists to a data set."""

import pathlib
from collections.abc import Mapping, Sequence

from vidjax.data import folder
from vidjax.data.read_film import Storage
from vidjax.prepare.report import Report
from vidjax.prepare.store import Part, store


def prepare_folder(
  videos: pathlib.Path | Sequence[pathlib.Path],
  name: str,
  data_dir: pathlib.Path,
  *,
  fractions: Mapping[str, float] | None = None,
  group: str | None = None,
  class_names: Mapping[str, str] | None = None,
  storage: Storage | None = None,
  workers: int = 2,
  timeout: float = 60,
  overwrite: bool = False,
  part: Part | None = None,
  beam: str | None = None,
) -> Report | None:
  """Makes the data set folder/NAME of videos: all of it or, after an error, nothing.

  Args:
    videos: see `vidjax.data.folder.find_films`.
    name: letters, digits, ".", "-" and "_".
    data_dir: where prepared data sets lie.
    fractions: share of every split, see `find_films`, as the next two.
    group: a regular expression that finds the group in a file's name.
    class_names: the classes in their order, number -> name.
    storage: how films are stored.
    workers: number of files decoded at once, each in a process that holds two clips of it as JPEG, some 10 KB a frame.
    timeout: seconds a file may take from one frame to the next before it is refused.
    overwrite: replace a data set of that name, and what was begun of one with other settings.
    part: make some of the shards; who makes the last one closes the data set.
    beam: flags of Apache Beam, which then makes the shards, see `vidjax.prepare.beam`.

  Returns:
    The report; None where other parts are not there yet.

  Raises:
    InputError: a name in use or unfit, videos that cannot be split, or refused files without which train lacks a class.
  """
  paths = [videos] if isinstance(videos, pathlib.Path) else list(videos)
  return store(
    lambda readable: folder.find_films(videos, fractions, group=group, class_names=class_names, readable=readable),
    name,
    data_dir,
    inside=[path for path in paths if path.is_dir()],
    fractions=fractions,
    storage=storage,
    workers=workers,
    timeout=timeout,
    overwrite=overwrite,
    part=part,
    beam=beam,
  )
