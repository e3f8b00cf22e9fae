"""`python -m experiments.flips --workdir=RUN`: one bit of a file changed at a time; does reading tell?

Works on copies of the run and its data set. Every trial opens what the file belongs to, and compares that with what was
there before. Counted by kind of file: named (an InputError), same (the bit changes nothing), silent (something else was
read without a word), crashed (any other error).
"""

import collections
import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from absl import flags

from vidjax.command import run_main
from vidjax.console import say
from vidjax.data.dataset import open_dataset
from vidjax.data.schema import DamagedRecord, Record
from vidjax.errors import InputError
from vidjax.run.checkpoint import Checkpoints, load_variables
from vidjax.run.folder import check_same, read_folder
from vidjax.run.opened import open_run


def kinds(run: pathlib.Path, data: pathlib.Path, name: str) -> Iterator[tuple[str, list[pathlib.Path], Callable]]:
  """(kind, its files, what reads them) for a run's folder and a data folder."""
  folder = data / name

  def records() -> Any:
    dataset = open_dataset(name, str(data))
    source = dataset.source("validation")
    parsed = [Record.parse(source[i]) for i in range(len(source))]
    return [(record.video_id, record.label, record.decode(range(record.num_frames)).tobytes()) for record in parsed]

  def description() -> Any:
    dataset = open_dataset(name, str(data))
    config, class_names = read_folder(run)
    opened = open_run(run, data_dir=str(data))
    check_same(run, config, class_names, opened.contents)
    return (
      dataset.class_names,
      dataset.splits,
      dataset.shards,
      {split: dataset.films(split) for split in dataset.splits},
    )

  def checkpoint() -> Any:
    variables, step = load_variables(run, "best")
    last = load_variables(run, "last")[1]
    with contextlib.closing(Checkpoints(run)) as checkpoints:  # as a run that is resumed opens them
      return step, last, checkpoints.judged(last), [x.tobytes() for x in jax.tree.leaves(variables)]

  def run_files() -> Any:
    opened = open_run(run, data_dir=str(data))
    check_same(run, opened.config, opened.class_names, opened.contents)
    return opened.config, opened.class_names, opened.overlap("validation"), opened.step

  files = [path for path in folder.rglob("*") if path.is_file()]
  yield "records", [path for path in files if "array_record" in path.name and "validation" in path.name], records
  yield "descriptions", [path for path in files if "array_record" not in path.name], description
  files = [path for path in (run / "checkpoints").rglob("*") if path.is_file() and path.stat().st_size]
  is_data = [path.parent.name == "d" for path in files]
  yield "checkpoint data", [path for path, yes in zip(files, is_data, strict=True) if yes], checkpoint
  yield "checkpoint descriptions", [path for path, yes in zip(files, is_data, strict=True) if not yes], checkpoint
  names = ("config.json", "class_names.txt", "digests.json", "data.json", "trained_on.json")
  yield "run files", [run / name for name in names if (run / name).is_file()], run_files


def flip(path: pathlib.Path, rng: np.random.Generator, read: Callable, expected: Any) -> tuple[str, str]:
  """What becomes of one changed bit, and the words."""
  content = path.read_bytes()
  changed = bytearray(content)
  changed[rng.integers(len(content))] ^= 1 << rng.integers(8)
  path.write_bytes(bytes(changed))
  try:
    return ("same" if read() == expected else "silent"), ""
  except (InputError, DamagedRecord) as error:
    return "named", str(error)
  except Exception as error:
    return "crashed", repr(error)
  finally:
    path.write_bytes(content)


def main(_: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  config, _ = read_folder(pathlib.Path(values.workdir))
  name = config["data"]["name"]
  rng = np.random.default_rng(values.seed)
  with tempfile.TemporaryDirectory() as scratch:
    run, data = pathlib.Path(scratch) / "run", pathlib.Path(scratch) / "data"
    shutil.copytree(values.workdir, run)
    shutil.copytree(pathlib.Path(config["data"]["dir"]) / name, data / name)
    for kind, files, read in kinds(run, data, name):
      expected, counts = read(), collections.Counter()
      assert read() == expected
      for _ in range(values.trials):
        path = files[rng.integers(len(files))]
        outcome, words = flip(path, rng, read, expected)
        counts[outcome] += 1
        if outcome in ("silent", "crashed"):
          say(f"  {outcome}: {path.relative_to(scratch)} {words[:200]}")
      say(f"{kind}: " + ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("silent", "crashed", "named", "same")))


if __name__ == "__main__":
  flags.DEFINE_string("workdir", None, "Folder of a run; neither it nor its data set is changed.")
  flags.DEFINE_integer("trials", 100, "Changed bits for each kind of file.", lower_bound=1)
  flags.DEFINE_integer("seed", 0, "Of the choice of bits.")
  run_main(main)
