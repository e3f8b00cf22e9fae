"""All tables of the papers: `python -m experiments.tables --scale=cost|mini --out=DIR`.

Each table has a folder in DIR; a training that several tables have in common is done once. `--tables=` takes a part of
them, as in `--tables=tdrl,thesis.table_3_9`. DIR then holds `results.csv` with every number of every table,
`manifests.json` with what each was measured on, and `tables.md` with every table that was trained, and how well the
order of its rows agrees with the print. A command that is stopped resumes. `--report` trains nothing and writes what is
finished, the rest as "not run", with a comparison of networks with released code.
"""

import concurrent.futures
import csv
import datetime
import multiprocessing
import os
import pathlib
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from experiments.tables.command import (
  define_flags,
  given_sweep,
  out_folder,
  report_failed,
  report_unexplained,
  say_text,
  write,
  write_costs,
  write_counts,
)
from experiments.tables.found import counted, tables
from experiments.tables.row import Table
from experiments.tables.shown import HEADS, agreement, markdown, write_manifests
from experiments.tables.sweep import Sweep
from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.files import whole, write_text
from vidjax.run.commit import commit
from vidjax.verify.parity import NETWORKS, check


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if values.scale == "full":
    raise InputError("--scale=full is for one table: python -m experiments.PAPER.TABLE --scale=full")
  chosen = _chosen(tables(), values.tables)
  if values.scale == "cost":
    _costs(chosen, values.processes)
    return
  out = out_folder()
  folders = {name: out / name for name in chosen}
  sweeps = [given_sweep(table, folders[name], others=tuple(folders.values())) for name, table in chosen.items()]
  if not any(sweep.units() for sweep in sweeps):
    raise InputError("none of these tables trains anything at mini scale")
  if values.report:
    check_results(out, sweeps)
  failed = []
  for sweep in sweeps:
    begin = time.monotonic()
    if values.report or not sweep.units():
      sweep.out.mkdir(parents=True, exist_ok=True)
      write(sweep)
      continue
    try:
      failed += [f"{sweep.out.name}: {text}" for text in sweep.run()]
    except InputError as error:
      failed.append(f"{sweep.out.name}: {error}")
      continue
    write(sweep)
    say(f"{sweep.out.name}: {time.monotonic() - begin:.0f} s")
  if values.report:
    write_parity(out / "parity.csv")
  parts = [*(sweep.out / "results.csv" for sweep in sweeps), *[out / "parity.csv"] * values.report]
  join(parts, out / "results.csv")
  write_manifests(out / "manifests.json", [one for sweep in sweeps for one in sweep.read()])
  write_text(out / "tables.md", page(sweeps))
  say_text(summary(sweeps))
  say(f"wrote results.csv, manifests.json and tables.md to {out}")
  report_failed(failed)


def check_results(out: pathlib.Path, sweeps: Sequence[Sweep]) -> None:
  """Raises an InputError where no training is finished that a report could tell of.

  Args:
    out: folder of all tables.
    sweeps: of the tables.
  """
  if not any(sweep.read() for sweep in sweeps):
    there = "has no finished training of these tables" if out.is_dir() else "is not there"
    raise InputError(f"--report needs results, and --out={out} {there}: name the --out of a command without --report")


def _chosen(known: Mapping[str, Table], names: Sequence[str]) -> dict[str, Table]:
  """The tables under the names: of a paper, or of a paper and a table."""
  for name in names:
    if not any(one == name or one.startswith(f"{name}.") for one in known):
      raise InputError(f"--tables={name}: there is no such table; there are {', '.join(known)}")
  return {
    name: table
    for name, table in known.items()
    if not names or any(name == one or name.startswith(f"{one}.") for one in names)
  }


def _costs(chosen: Mapping[str, Table], processes: int) -> None:
  """Counts and writes all tables, several at once, each by a process of its own."""
  out = pathlib.Path(flags.FLAGS.out) if flags.FLAGS.out else None
  names = [name for name, table in chosen.items() if any(row.cost for row in table.rows)]
  if not names:
    raise InputError("none of these tables prints what can be counted: take one of them by its own command")
  unexplained: list[str] = []
  lines: list[tuple[str, ...]] = []
  with concurrent.futures.ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
    for name, found in zip(names, pool.map(counted, names), strict=True):
      say_text(found.text)
      unexplained += found.unexplained
      lines += found.lines
      if out:
        write_costs(out / name, found)
  if out:
    write_counts(out / "costs.csv", lines)
    say(f"wrote costs.csv to {out}, and cost.md and cost.csv to a folder for each table")
  report_unexplained(unexplained)


def join(parts: Sequence[pathlib.Path], path: pathlib.Path) -> None:
  """Writes the lines of several results.csv into one.

  Args:
    parts: the files.
    path: of the whole.
  """
  with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(HEADS)
    for part in parts:
      with part.open(newline="", encoding="utf-8") as one:
        writer.writerows(list(csv.reader(one))[1:])


def write_parity(path: pathlib.Path) -> None:
  """Writes, in the form of results.csv, how far networks are from released code, see `vidjax.verify.parity`."""
  with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(HEADS)
    for name in NETWORKS:
      found = check(name)
      number = f"{found.error:.2g}" + " (DOES NOT AGREE)" * (not found.agrees)
      origin = (
        commit(),
        f"1 cpu device(s), {os.cpu_count()} cores, {platform.machine()}",
        datetime.date.today().isoformat(),
        *[""] * 3,
      )
      command = f"python -m vidjax.verify {name}"
      own = "parity", name, found.source, "parity", "largest difference of two logits", "", number
      writer.writerow([*own, *origin, command])


def summary(sweeps: Sequence[Sweep]) -> str:
  """A line for each table and each pair of columns whose order can be compared, in Markdown."""
  lines = [
    "| table | command | trainings | hours on one core | compared | rows | Kendall's tau (of single seeds) |",
    "|---|---|---|---|---|---|---|",
  ]
  for sweep in sweeps:
    found = sweep.read()
    start = f"| {sweep.table.title} | `experiments.{sweep.out.name}` | {_trainings(found)} |"
    for one in agreement(sweep.table, found):
      lines.append(f"{start} {one.own} here, {one.printed} in print | {one.rows} | {one} |")
    if not agreement(sweep.table, found):
      lines.append(f"{start} | | |")
  every = [one for sweep in sweeps for one in sweep.read()]
  return "\n".join([*lines, f"| all | | {_trainings(every)} | | |"]) + "\n"


def _trainings(found: Sequence[Mapping[str, Any]]) -> str:
  """Two cells: how many trainings, and the hours of those whose time is known."""
  timed = [one["seconds"] * one["cores"] for one in found if one["seconds"] is not None]
  hours = f"{sum(timed) / 3600:.2f}" if timed else ""
  return f"{len(found)} | {hours}" + f" ({len(timed)} of them)" * (0 < len(timed) < len(found))


def untrained(sweep: Sweep) -> str:
  """A line that names the rows of a begun table of which nothing is trained yet, or ""."""
  there = {one["row"] for one in sweep.read()}
  rows = dict.fromkeys(unit.row.name for unit in (*sweep.units(), *sweep.ensembles()))
  left = [f"'{name}'" for name in rows if name not in there]
  return f"Not run yet, {len(left)} of {len(rows)} rows: {', '.join(left)}.\n" if left else ""


def page(sweeps: Sequence[Sweep]) -> str:
  """The summary and each table of which something is trained, in Markdown."""
  trained = [sweep for sweep in sweeps if sweep.read()]
  missing = [f"`{sweep.out.name}`" for sweep in sweeps if sweep.units() and sweep not in trained]
  parts = [
    "# Tables as trained at mini scale",
    "Small networks on synthetic clips: the numbers are not those of the papers. What can be compared is the order of"
    " the rows. `python -m experiments.tables --scale=mini` trains them, and wrote this page.",
    summary(trained),
    *([f"Not run yet: {', '.join(missing)}."] if missing else []),
  ]
  for sweep in trained:
    text = markdown(sweep.table, sweep.read()) + untrained(sweep)
    parts.append(f"## {sweep.table.title}\n\n`python -m experiments.{sweep.out.name} --out=DIR`\n\n{text}")
  return "\n\n".join(part.rstrip() for part in parts) + "\n"


if __name__ == "__main__":
  define_flags()
  flags.DEFINE_bool("report", False, "Train nothing: write what is finished, and compare with released code.")
  flags.DEFINE_list("tables", [], "Tables to run, as in tdrl or thesis.table_3_9 (default: all).")
  run_main(main)
