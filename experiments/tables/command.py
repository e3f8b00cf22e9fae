"""The command of a table: `python -m experiments.PAPER.TABLE --scale=cost|mini|full --out=DIR`."""

import csv
import os
import pathlib
from collections.abc import Sequence

from absl import flags

from experiments.tables.estimate import check_full
from experiments.tables.known import Known
from experiments.tables.row import Table
from experiments.tables.shown import Counts, costs, draw, gather, markdown, write_csv, write_manifests
from experiments.tables.sweep import Sweep
from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.files import whole, write_text
from vidjax.train.start import NOTHING


def run_table(table: Table) -> None:
  """Runs the command of a table, with its flags."""
  define_flags()
  flags.DEFINE_list("rows", [], "Names of the rows to run (default: all).")
  run_main(lambda argv: _main(table))


def define_flags() -> None:
  """The flags of a table's command, but for --rows."""
  flags.DEFINE_enum(
    "scale",
    "mini",
    ["cost", "mini", "full"],
    "cost: count every row's network. mini: small networks on synthetic clips. full: the paper's data and recipe.",
  )
  flags.DEFINE_string("out", None, "Folder for the runs and the table.")
  flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of the trainings.")
  flags.DEFINE_integer("processes", 1, "Trainings at once; cores and CUDA_VISIBLE_DEVICES are divided among them.", 1)
  flags.DEFINE_string("shard", None, "I/N: task I, from 0, of N of a job array (default: SLURM's array, where it is).")
  flags.DEFINE_float("epochs", None, "Epochs of the mini trainings, in place of the table's.")
  flags.DEFINE_string(
    "known", None, "Folder with results.csv and manifests.json of before: what is in there is not trained again."
  )
  flags.DEFINE_string("data_dir", "data", "Where data sets lie.")
  flags.DEFINE_list(
    "pretrained",
    [],
    "full: what recipes start from, as in imagenet/resnet50=FILE,kinetics400/dan-resnet50=RUN; none in place of a file"
    " or run: start from nothing.",
  )
  flags.DEFINE_float("rate", None, "full: measured GMAC/s of training, for an estimate of its time.", 0)


def _main(table: Table) -> None:
  values = flags.FLAGS
  if values.scale == "cost":
    _cost(table)
    return
  sweep = given_sweep(table, out_folder(), _rows(table))
  if not sweep.units() and not sweep.ensembles():
    raise InputError(f"{table.title} has nothing to train at --scale={values.scale} in these rows")
  if values.scale == "full":
    check_full(sweep, values.rate)
  failed = sweep.run()
  write(sweep)
  say_text((sweep.out / "table.md").read_text(encoding="utf-8"))
  names = [name for name in ("table.md", "results.csv", "manifests.json", "table.png") if (sweep.out / name).exists()]
  say(f"wrote {', '.join(names)} to {sweep.out}")
  report_failed(failed)


def out_folder() -> pathlib.Path:
  """The folder of --out; InputError where it is not given."""
  if not flags.FLAGS.out:
    raise InputError("--out=DIR is needed")
  return pathlib.Path(flags.FLAGS.out)


def given_sweep(
  table: Table, out: pathlib.Path, rows: Sequence[str] = (), others: Sequence[pathlib.Path] = ()
) -> Sweep:
  """The sweep that the flags describe.

  Args:
    table: the table.
    out: folder of its runs.
    rows: see `Sweep`.
    others: see `Sweep`.
  """
  values = flags.FLAGS
  if not values.seeds or not all(seed.isdecimal() for seed in values.seeds):
    raise InputError(f"--seeds={','.join(values.seeds)}: must be numbers from 0 on, as in --seeds=0,1,2")
  if len({int(seed) for seed in values.seeds}) < len(values.seeds):
    raise InputError(f"--seeds={','.join(values.seeds)}: a seed is given twice: give each once")
  if values.epochs is not None and not values.epochs > 0:
    raise InputError(f"--epochs={values.epochs:g}: must be above 0; leave it out for the length of the table")
  return Sweep(
    table,
    values.scale,
    out,
    pathlib.Path(values.data_dir),
    [int(seed) for seed in values.seeds],
    rows,
    values.processes,
    _shard(values.shard),
    values.epochs,
    others,
    Known(pathlib.Path(values.known)) if values.known else None,
    _pretrained(values.pretrained) if values.scale == "full" else {},
  )


def _pretrained(parts: Sequence[str]) -> dict[str, str]:
  """The sources of --pretrained by their names; InputError where one is not there."""
  found = {}
  for part in parts:
    name, _, source = part.partition("=")
    if "/" not in name or not source:
      raise InputError(f"--pretrained={part}: must be DATA/NETWORK=FILE, as in imagenet/resnet50=resnet50.pth")
    if source != NOTHING and not pathlib.Path(source).exists():
      raise InputError(f"--pretrained={part}: {source} is not there")
    found[name] = source
  return found


def _rows(table: Table) -> list[str]:
  """The names of --rows, [] where it is not given."""
  if flags.FLAGS["rows"].present and not any(flags.FLAGS.rows):
    raise InputError("--rows= names no row: name some, or leave it out for all")
  return whole_names(flags.FLAGS.rows, table)


def whole_names(parts: Sequence[str], table: Table) -> list[str]:
  """The names of rows that a flag's value was cut into at its commas; a name may have commas itself.

  Args:
    parts: of the flag.
    table: whose rows are meant.
  """
  known, names, start = {row.name for row in table.rows}, [], 0
  while start < len(parts):
    ends = [end for end in range(len(parts), start, -1) if ", ".join(parts[start:end]) in known]
    end = next(iter(ends), start + 1)
    names.append(", ".join(parts[start:end]))
    start = end
  return names


def write(sweep: Sweep) -> None:
  """Writes what is finished of a sweep: its table, its numbers, what they were measured on, and its picture."""
  found = sweep.read()
  measured = gather(found)
  write_text(sweep.out / "table.md", markdown(sweep.table, found))
  write_csv(sweep.out / "results.csv", sweep.table, sweep.scale, found)
  write_manifests(sweep.out / "manifests.json", found)
  (sweep.table.picture or draw)(sweep.out / "table.png", sweep.table, measured)


def report_unexplained(differences: Sequence[str]) -> None:
  """Raises an InputError that names the counts that differ from the print for no reason that is known, if any do."""
  if differences:
    raise InputError(f"{len(differences)} counts differ from the print without a reason: " + "; ".join(differences))


def report_failed(failed: Sequence[str]) -> None:
  """Raises an InputError that names what failed, if anything did."""
  if failed:
    raise InputError(f"{len(failed)} failed, the rest is done: " + "; ".join(failed))


def _cost(table: Table) -> None:
  values = flags.FLAGS
  rows = _rows(table)
  Sweep(table, "mini", pathlib.Path(), pathlib.Path(), rows=rows)  # knows which rows there are
  chosen = [row for row in table.rows if not rows or row.name in rows]
  found = costs(table, chosen, more=True)
  if not found.lines:
    raise InputError(f"{table.title} has nothing to count in these rows: take --scale=mini")
  say_text(found.text)
  if values.out:
    write_costs(pathlib.Path(values.out), found)
    say(f"wrote cost.md and cost.csv to {values.out}")
  report_unexplained(found.unexplained)


def write_costs(out: pathlib.Path, found: Counts) -> None:
  """Writes `cost.md` and `cost.csv`.

  Args:
    out: folder, made where it is not there.
    found: what is counted of a table.
  """
  out.mkdir(parents=True, exist_ok=True)
  write_text(out / "cost.md", found.text)
  write_counts(out / "cost.csv", found.lines)


def write_counts(path: pathlib.Path, lines: Sequence[Sequence[str]]) -> None:
  """Writes the lines of `Counts`, with their heads.

  Args:
    path: of the file.
    lines: of one table or more.
  """
  with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows([("table", "row", "kind", "column", "printed", "here"), *lines])


def say_text(text: str) -> None:
  """Prints a text of several lines."""
  for line in text.splitlines():
    say(line)


def _shard(text: str | None) -> tuple[int, int]:
  """(I, N) of a flag, or of SLURM's job array."""
  if text is None:
    found = os.environ.get("SLURM_ARRAY_TASK_ID"), os.environ.get("SLURM_ARRAY_TASK_COUNT")
    first, step = (int(os.environ.get(f"SLURM_ARRAY_TASK_{name}") or x) for name, x in (("MIN", 0), ("STEP", 1)))
    if not (found[0] and found[1]):
      return 0, 1
    number, rest = divmod(int(found[0]) - first, step)
    if rest or not 0 <= number < int(found[1]):
      raise InputError(
        f"task {found[0]} of a job array of {found[1]} that begins at {first} by steps of {step}: give --array=A-B or"
        " A-B:STEP, or name the parts by --shard=I/N"
      )
    return number, int(found[1])
  number, _, count = text.partition("/")
  if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
    raise InputError(f"--shard={text}: must be I/N with I below N, as in --shard=0/4")
  return int(number), int(count)
