"""`python -m vidjax.analyse cost`: parameters, multiply-accumulates and activations by module."""

import csv
import pathlib
from collections.abc import Sequence

from absl import flags

from vidjax.analyse.modes import no_files
from vidjax.analyse.module_costs import ModuleCost, module_costs
from vidjax.command import read_config
from vidjax.errors import InputError
from vidjax.files import whole


def run(files: Sequence[str]) -> None:
  """Prints the table, and writes it where `--out` says."""
  no_files("cost", files)
  values = flags.FLAGS
  out = pathlib.Path(values.out) if values.out else None
  if out and not out.parent.is_dir():
    raise InputError(f"--out={out}: there is no folder {out.parent}")
  config = read_config(values.config)
  from vidjax.run.opened import Run  # slow to import, for the data stack

  run = Run(config, [str(i) for i in range(values.classes)] if values.classes else None)
  shape = run.clip_shape if values.clip is None else _shape(values.clip)
  rows = module_costs(run.network, shape, values.convention, values.training)
  counted = f"{values.convention} multiply-accumulates of the forward pass{' in training' * values.training}"
  _show(rows, shape, values.depth, counted)
  if out:
    _write(rows, out)


def _shape(text: list[str]) -> tuple[int, int, int, int]:
  try:
    frames, height, width = map(int, text)
  except ValueError:
    frames = height = width = 0
  if min(frames, height, width) < 1:
    raise InputError(f"--clip={','.join(text)}: must be FRAMES,HEIGHT,WIDTH, as in --clip=8,224,224")
  return frames, height, width, 3


def _show(rows: list[ModuleCost], shape: tuple[int, ...], depth: int, counted: str) -> None:
  from rich.console import Console
  from rich.table import Table

  clip = "x".join(map(str, shape))
  table = Table(title=f"one clip of {clip}, {counted}")
  for header in ("module", "class", "parameters", "GMAC", "output elements"):
    table.add_column(header, justify="left" if header in ("module", "class") else "right")
  for row in rows:
    level = row.path.count("/") + 1 if row.path else 0
    if level <= depth:
      name = "  " * level + (row.path.rpartition("/")[2] or "(network)")
      table.add_row(name, row.kind, f"{row.params:,}", f"{row.macs / 1e9:.4f}", f"{row.activations:,}")
  Console().print(table)


def _write(rows: list[ModuleCost], out: pathlib.Path) -> None:
  with whole(out) as partial, partial.open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["module", "class", "parameters", "macs", "output_elements"])
    writer.writerows((row.path, row.kind, row.params, row.macs, row.activations) for row in rows)
