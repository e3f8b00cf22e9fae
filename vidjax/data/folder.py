"""Which videos a folder or a list names, with their labels, splits and groups.

- class sub-folders (`walk/a.avi`), or the same below top folders called as splits usually are (train, val_videos,
  testing); videos that lie in a test folder directly have no label;
- folders of frames (`walk/a/00001.jpg`) where a film might lie;
- one list (see `vidjax.data.lists`), or several, each of one split.
"""

import collections
import dataclasses
import hashlib
import os
import pathlib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from vidjax.data import classes, frame_folder, groups, lists
from vidjax.data.copies import find_copies
from vidjax.data.films import Film, Found
from vidjax.data.span import Span
from vidjax.data.splits import DEFAULT_FRACTIONS, check_classes, known_split, split_in_name
from vidjax.errors import InputError


def find_films(
  videos: pathlib.Path | Sequence[pathlib.Path],
  fractions: Mapping[str, float] | None = None,
  *,
  group: str | None = None,
  class_names: Mapping[str, str] | None = None,
  readable: Callable[[pathlib.Path], bool] = lambda path: True,
) -> Found:
  """All films of a folder or of lists.

  Args:
    videos: a folder, or one list or more (.csv, .tsv, .txt, .json, .jsonl).
    fractions: share of every split, for videos that come without; see `vidjax.data.splits.Divider`.
    group: a regular expression that finds the group in a file's name, see `vidjax.data.groups.group_of`.
    class_names: the classes in their order, number -> name, see `vidjax.data.classes.read`; labels may be either.
    readable: whether a file is a video. It is asked about files with the same bytes in two classes only.

  Raises:
    InputError: nothing there, a line that cannot be read, an empty label outside a test split, labels that differ in
      case only, a film named twice, equal videos in two classes (one label is wrong, and only the user knows which), a
      class without a video to train on, a split without videos, or fractions for videos that come with splits.
  """
  paths = [videos] if isinstance(videos, pathlib.Path) else list(videos)
  where = " and ".join(map(str, paths))
  pattern = groups.compile_group(group) if group else None
  films, strays, notes = _collect(paths, class_names)
  if not films:
    raise InputError(f"{where} names no video")
  check_labels(films)
  if class_names and not {name for film in films for name in film.classes} - {""} <= set(class_names.values()):
    films = [_with_names(film, class_names) for film in films]
  films, clashes = arrange(films, readable, pattern)
  if clashes:
    more = f", and {len(clashes) - 3} more" if len(clashes) > 3 else ""
    raise InputError(f"{'; '.join(clashes[:3])}{more}: a video has one class, so remove the wrong ones")
  warnings = _check_splits(films, fractions, where)
  if not any(film.split for film in films) and not pattern:
    warnings += _warn_of_cuts(films)
  names = list((class_names or {}).values()) or classes.order({name for film in films for name in film.classes} - {""})
  if not names:
    raise InputError(
      f"{where} gives no video a label: name the classes of the run that will score them in --classes=FILE"
    )
  return Found(films, names, strays, notes, warnings)


def arrange(
  films: Sequence[Film], readable: Callable[[pathlib.Path], bool], pattern: re.Pattern[str] | None = None
) -> tuple[list[Film], list[str]]:
  """The films in the order in which they are stored, copies of one file marked and groups found.

  Args:
    films: all of a data set.
    readable: as in `find_films`.
    pattern: finds the group in a file's name.

  Returns:
    The films, and a sentence for each that has the same bytes as a film of another class.
  """
  films = sorted(_with_rarest(films), key=lambda film: (film.label, _hash(film.name)))
  films, clashes, equal = find_copies(films, readable)
  films = _group(films, pattern, equal)
  sizes = collections.Counter((film.label, film.group) for film in films)
  films.sort(key=lambda f: (f.label, -sizes[f.label, f.group], _hash(f.group), f.group, _hash(f.name)))
  return films, clashes


def _collect(
  paths: Sequence[pathlib.Path], class_names: Mapping[str, str] | None
) -> tuple[list[Film], list[str], list[str]]:
  """Films, stray files and notes."""
  films: list[Film] = []
  notes: list[str] = []
  for path in paths:
    if path.is_dir() and len(paths) > 1:
      raise InputError(f"{path} is a folder: give one folder, or several lists")
    if path.is_dir():
      return list(_in_folder(path, set((class_names or {}).values()))), _stray_files(path), []
    if not path.is_file():
      raise InputError(f"{path} does not exist: pass --videos=FOLDER, or a list ({', '.join(lists.ENDINGS)})")
    if path.suffix.lower() not in lists.ENDINGS:
      raise InputError(f"{path} is neither a folder nor a list ({', '.join(lists.ENDINGS)})")
    listing = lists.read_list(path)
    split = split_in_name(path.stem) if len(paths) > 1 else ""
    if len(paths) > 1 and not split and not all(row.split for row in listing.rows):
      raise InputError(
        f"{path}: of several lists each names its split, as train.csv and val.csv do, or has a column split"
      )
    notes += [listing.note] if listing.note else []
    for row in listing.rows:
      place = path.parent / row.path
      own = {"group": row.group, "labels": row.labels, "span": row.span}
      name = f"{row.path}#{row.span}" if row.span else row.path
      films.append(Film(place, name, row.label, row.split or split, row.line, **own))
  return films, [], notes


def _hash(name: str) -> bytes:
  return hashlib.sha256(os.fsencode(name)).digest()


def _visible(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
  return [path for path in _visible(folder) if path.is_dir()]


def _stray_files(videos: pathlib.Path) -> list[str]:
  """Names of the files of a folder that lie outside any class folder."""
  parents = {videos, *(parent for parent, split in _class_parents(videos).items() if not _unlabelled(parent, split))}
  files = [path for parent in parents for path in _visible(parent) if not path.is_dir()]
  return sorted(path.relative_to(videos).as_posix() for path in files)


def _class_parents(root: pathlib.Path) -> dict[pathlib.Path, str]:
  """The folders that hold class folders, and the split they stand for."""
  tops = _folders(root)
  splits = {top: known_split(top.name) for top in tops if known_split(top.name)}
  if len(tops) == 1 and _unlabelled(tops[0], known_split(tops[0].name)):
    return splits
  if not any(_folders(top) for top in splits) or len(splits) < min(len(tops), 2):
    return {root: ""}
  others = [top.name for top in tops if top not in splits]
  if others:
    names = ", ".join(sorted(top.name for top in splits))
    raise InputError(f"{root} has the split folders {names}, and beside them {', '.join(others)}: move the latter out")
  for split in splits.values():
    same = [top.name for top in splits if splits[top] == split]
    if len(same) > 1:
      raise InputError(f"{root}: {' and '.join(same)} are both names of the split {split}: rename one of them")
  return splits


def _unlabelled(folder: pathlib.Path, split: str) -> bool:
  return split == "test" and not _folders(folder)


def _check_no_splits(root: pathlib.Path, tops: Sequence[pathlib.Path], class_names: Collection[str]) -> None:
  """Raises an InputError where what should be class folders all hold the same sub-folders, as splits do."""
  inner = [{path.name: path for path in _folders(top)} for top in tops]
  shared = set.intersection(*map(set, inner)) if len(inner) > 1 else set()
  pictures = any(
    path.suffix.lower() in frame_folder.PICTURES for name in shared for path in _visible(inner[0][name])[:1]
  )
  if (
    len(shared) < 2
    or 2 * len(shared) < max(map(len, inner))
    or pictures
    or {top.name for top in tops} <= {*class_names}
  ):
    return
  raise InputError(
    f"the folders {', '.join(top.name for top in tops[:4])} of {root} hold the same sub-folders"
    f" ({', '.join(sorted(shared)[:4])}), as splits do: rename them train, validation and test; if they are the"
    " classes, give a file with their names as --classes=FILE"
  )


def _in_folder(root: pathlib.Path, class_names: Collection[str]) -> Iterator[Film]:
  for parent, split in _class_parents(root).items():
    found = _folders(parent)
    if _unlabelled(parent, split):
      yield from (Film(path, path.relative_to(root).as_posix(), "", split) for path in sorted(_files_below(parent)))
      continue
    if not found:
      raise InputError(f"{parent} has no class folders: put the videos of each class into a folder of its name")
    if not split:
      _check_no_splits(root, found, class_names)
    for folder in found:
      paths = sorted(_files_below(folder))
      if not paths:
        raise InputError(f"class folder {folder} is empty: add videos or remove it")
      for path in paths:
        yield Film(path, path.relative_to(root).as_posix(), folder.name.strip(), split)


def _files_below(folder: pathlib.Path, above: frozenset[str] = frozenset()) -> Iterator[pathlib.Path]:
  """All visible files, links to files, dangling links and folders of frames; follows links, unless in a circle."""
  above |= {os.path.realpath(folder)}
  for path in _visible(folder):
    if not path.is_dir() or frame_folder.is_one(path):
      yield path
    elif os.path.realpath(path) not in above:
      yield from _files_below(path, above)


def _with_rarest(films: Sequence[Film]) -> list[Film]:
  """The films, those of several classes with the rarest of them as their label, by which they are divided."""
  counts = collections.Counter(name for film in films for name in film.classes)
  return [
    film
    if not film.labels
    else dataclasses.replace(film, label=min(film.labels, key=lambda name: (counts[name], name)))
    for film in films
  ]


def check_labels(films: Sequence[Film]) -> None:
  """Raises an InputError for labels that cannot be class names, and for a file that is named twice."""
  first: dict[tuple[str, Span | None], Film] = {}
  whole = {os.path.abspath(film.path): film for film in films if film.span is None}
  spellings: dict[str, tuple[str, Film]] = {}
  kinds = {film.labels is None: film for film in films}
  if len(kinds) > 1:
    raise InputError(
      f"{kinds[True]} has one label and {kinds[False]} a list of labels: give all videos the same column"
    )
  for film in films:
    if film.labels is None and not film.label and film.split != "test":
      raise InputError(f"{film} has an empty label: only videos of the split test may be without one")
    for label in film.classes:
      if label and (label.splitlines() != [label] or "\0" in label):
        raise InputError(f"{film} has the label {label!r}: use one line of text")
      if label.encode(errors="replace").decode() != label:
        raise InputError(f"{film} has the label {label!r}, which is not UTF-8 text: give the class another name")
    path = os.path.abspath(film.path)
    other = first.setdefault((path, film.span), film)
    if film.span and path in whole:
      raise InputError(f"{film} is a part of a film, and {whole[path]} is all of it: give each row its start and end")
    if other is not film:
      raise InputError(f"{film} is named twice, first as {other}: remove one of the two")
    for label in film.classes:
      known, other = spellings.setdefault(unicodedata.normalize("NFKC", label).casefold(), (label, film))
      if known != label:
        raise InputError(
          f"labels {known!r} and {label!r} differ in case or Unicode form only ({other}; {film}): unite them"
        )
  tests = [film for film in films if film.split == "test"]
  bare = [film for film in tests if film.labels is None and not film.label]
  if 0 < len(bare) < len(tests):
    raise InputError(f"{bare[0]} has no label, and other videos of the split test have: give all of them one, or none")


def _with_names(film: Film, class_names: Mapping[str, str]) -> Film:
  """The film with class names in place of their numbers."""
  if film.labels is None:
    return dataclasses.replace(film, label=_numbered(film, film.label, class_names))
  return dataclasses.replace(film, labels=tuple(_numbered(film, label, class_names) for label in film.labels))


def _numbered(film: Film, label: str, class_names: Mapping[str, str]) -> str:
  """The class name of a label that may be its number."""
  label = class_names.get(label, label)
  if label and label not in class_names.values():
    first, *_, last = [*class_names, *class_names]
    raise InputError(
      f"{film} has the label {label!r}, which is no name in --classes and no number from {first} to {last}"
    )
  return label


def _group(films: Sequence[Film], pattern: re.Pattern[str] | None, equal: Sequence[tuple[str, str]]) -> list[Film]:
  """The films with their groups, joined where they share copies of a file or files that differ in their ending only."""
  found = {film.name: film.group or groups.group_of(film.file, film.label, pattern) for film in films}
  if pattern and not any(found.values()):
    raise InputError(f"--group={pattern.pattern} finds no group in any file's name, such as {films[0].name}")
  keys = {film.name: found[film.name] or film.name for film in films}
  stems: dict[str, str] = {}
  pairs = [(keys[film.name], keys[stems.setdefault(os.path.splitext(film.file)[0], film.name)]) for film in films]
  pairs += [(keys[one], keys[other]) for one, other in equal]
  joined = groups.unite(pairs)
  return [dataclasses.replace(film, group=joined[keys[film.name]]) for film in films]


def _check_splits(films: Sequence[Film], fractions: Mapping[str, float] | None, where: str) -> list[str]:
  """Warnings of what splits lack or share; InputError where they cannot be made or train lacks a class."""
  bare = [film for film in films if not film.split]
  if bare and len(bare) < len(films):
    raise InputError(f"{where} gives {len(films) - len(bare)} videos a split but not {bare[0]}: give all or none")
  if fractions and not bare:
    raise InputError(f"{where} comes with splits of its own: leave --split out")
  if not bare:
    pairs = {(film.split, label) for film in films for label in film.classes or ("",)}
    check_classes(pairs, {label for _, label in pairs}, f"{where} gives")  # what it warns of is told when all is read
    return warn_of_shared(films)
  splits = fractions or DEFAULT_FRACTIONS
  count = len({film.group for film in films})
  if count < len(splits):
    raise InputError(
      f"{where} has {count} {'video' if count == 1 else 'different videos or groups'}, too few for the splits"
      f" {', '.join(splits)}: add videos, or run the same command with --split=train:1, which puts every video into"
      " train"
    )
  return []


def warn_of_shared(films: Sequence[Film]) -> list[str]:
  """One sentence where given splits share groups; copies of one file are told one by one."""
  found: dict[str, set[str]] = collections.defaultdict(set)
  for film in films:
    if not film.copy_of:
      found[film.group].add(film.split)
  shared = [group for group, splits in found.items() if len(splits) > 1]
  if not shared:
    return []
  names = ", ".join(sorted(shared)[:3]) + (", ..." if len(shared) > 3 else "")
  return [f"{len(shared)} groups, clips of one recording each, lie in more than one split ({names})"]


def _warn_of_cuts(films: Sequence[Film]) -> list[str]:
  sizes = collections.Counter(film.group for film in films)
  alone = [(film.file, film.label) for film in films if sizes[film.group] == 1]
  cuts = groups.numbered_cuts(alone)
  if not cuts:
    return []
  return [
    f"{sum(map(len, cuts))} files look like numbered cuts of {len(cuts)} recordings ({', '.join(cuts[0][:3])}): if they"
    r" are, --group='(.+?)[\W_]*\d+\.' keeps the cuts of each in one split; apart, they inflate the accuracy"
  ]
