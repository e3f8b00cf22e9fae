"""`python -m vidjax.benchmark train|infer|data --config=FILE[:argument] [--config.key=value ...]`: how fast it is.

`python -m vidjax.benchmark ops`: the convolutions against XLA's own and, where torch is installed, PyTorch's.
`python -m vidjax.benchmark pytorch`: whole networks against PyTorch's, which has to be installed.
`python -m vidjax.benchmark transformers`: vision transformers against timm's and Hugging Face's, which have to be.
`python -m vidjax.benchmark streaming`: a MobileNetV2 frame by frame, against the released approach in PyTorch.
`python -m vidjax.benchmark attention`: a ViT-S on 4 to 32 frames, with attention by frame, divided and joint.
`python -m vidjax.benchmark flow`: TV-L1 flow against OpenCV's, without a config.
`python -m vidjax.benchmark pooling`: the deep residual representation of 16 to 1,024 frames against other poolings.
`python -m vidjax.benchmark preparation|encodings --videos=DIR`: preparing films against ffmpeg; the size of
each encoding and the time to sample from it, against decord where that is installed.
`python -m vidjax.benchmark skipping --workdir=RUN`: a network that skips steps against its dense form.

train: the train step on random clips, its cost and memory, and the share of time that a real loop waits for data.
infer: the forward pass on random clips. data: the training loader against decoding the frames it samples alone.
"""

import dataclasses
import json
import os
import pathlib
from typing import Any

from absl import flags

from vidjax.benchmark.flow import measure_flow
from vidjax.benchmark.loading import measure_data
from vidjax.benchmark.measure import Spread, provenance, still_alive
from vidjax.benchmark.network import NUM_CLASSES, measure_infer, measure_train
from vidjax.benchmark.ops import measure_ops
from vidjax.benchmark.pooling import measure_pooling
from vidjax.benchmark.preparation import measure_encodings, measure_preparation
from vidjax.benchmark.pytorch import measure_pytorch
from vidjax.benchmark.skipping import measure_skipping
from vidjax.benchmark.streaming import measure_streaming
from vidjax.benchmark.transformers import measure_attention, measure_transformers
from vidjax.command import define_config, read_config, run_main
from vidjax.errors import InputError
from vidjax.files import write_text

MODES = ("train", "infer", "data")
WITHOUT_CONFIG = {
  "attention": measure_attention,
  "flow": measure_flow,
  "ops": measure_ops,
  "pooling": measure_pooling,
  "pytorch": measure_pytorch,
  "streaming": measure_streaming,
  "transformers": measure_transformers,
}
OF_RUNS = ("skipping",)
OF_FILMS = {"preparation": measure_preparation, "encodings": measure_encodings}
AGAINST_OTHERS = ("ops", "pytorch", "streaming", "transformers")
IN_COLUMNS = ("attention", "pooling")
WIDE = 140
"""Least width of a table with several columns."""


def define_flags() -> None:
  """The command's flags."""
  flags.FLAGS.set_gnu_getopt(True)
  define_config()
  flags.DEFINE_integer("steps", 20, "Steps (batches) in a run.", lower_bound=1)
  flags.DEFINE_integer("warmup", 5, "Steps before the runs.", lower_bound=1)
  flags.DEFINE_integer("runs", 5, "Runs: numbers are medians over them.", lower_bound=1)
  flags.DEFINE_integer("classes", NUM_CLASSES, "Classes of the network; the data set is not asked.", lower_bound=1)
  flags.DEFINE_string("out", None, "JSON file for the numbers.")
  flags.DEFINE_string("workdir", None, "skipping: folder of a training run.")
  flags.DEFINE_string("videos", None, "preparation, encodings: folder with films.")
  flags.DEFINE_bool("trust", False, "skipping: let the run's config make things from outside vidjax.")


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  known = (*MODES, *WITHOUT_CONFIG, *OF_RUNS, *OF_FILMS)
  if len(argv) != 2 or argv[1] not in known:
    given = " ".join(argv[1:]) or "nothing"
    raise InputError(f"say what to measure, one of {', '.join(known)}: got {given}")
  mode = argv[1]
  if mode in OF_RUNS and not values.workdir:
    raise InputError(f"{mode}: --workdir=DIR is missing: name the folder of a training run")
  if mode in OF_FILMS and not values.videos:
    raise InputError(f"{mode}: --videos=DIR is missing: name a folder with films")
  config = read_config(values.config) if mode in MODES else None
  out = pathlib.Path(values.out) if values.out else None
  if out and not out.parent.is_dir():
    raise InputError(f"--out={out}: there is no folder {out.parent}")
  if out and (out.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK)):
    raise InputError(f"--out={out} cannot be written: name another file")
  origin = provenance()
  counts = values.steps, values.warmup, values.runs
  with still_alive():
    if mode in OF_RUNS:
      results = measure_skipping(pathlib.Path(values.workdir), *counts, values.trust)
    elif mode in OF_FILMS:
      results = OF_FILMS[mode](pathlib.Path(values.videos), values.runs)
    elif config is None:
      results = WITHOUT_CONFIG[mode](values.runs)
    elif mode == "data":
      results = measure_data(config, *counts)
    else:
      results = {"train": measure_train, "infer": measure_infer}[mode](config, *counts, values.classes)
  shown = show_ratios if mode in AGAINST_OTHERS else show_columns if mode in IN_COLUMNS else show
  shown(mode, results, origin)
  if out:
    plain = {name: _plain(value) for name, value in results.items()}
    settings = {"mode": mode, "steps": values.steps, "warmup": values.warmup, "runs": values.runs, "config": config}
    write_text(out, json.dumps({**origin, **settings, "results": plain}, indent=2) + "\n")


def show(mode: str, results: dict[str, Any], origin: dict[str, Any]) -> None:
  """Prints a table: every number, or its median and the smallest and largest over the runs.

  Args:
    mode: "train", "infer", "data" or the like, for the title.
    results: name -> number or Spread.
    origin: the machine and the versions, for the caption.
  """
  from rich.console import Console
  from rich.table import Table

  table = Table(title=f"vidjax.benchmark {mode}", caption=_caption(origin))
  for header in ("", "median", "smallest to largest"):
    table.add_column(header, justify="left" if not header else "right")
  for name, value in results.items():
    if isinstance(value, Spread):
      table.add_row(name, _text(value.median), f"{_text(value.low)} to {_text(value.high)}")
    else:
      table.add_row(name, _text(value))
  Console().print(table)


def show_ratios(mode: str, results: dict[str, dict[str, Spread]], origin: dict[str, Any]) -> None:
  """Prints a table: our milliseconds, and how many times as long the others take.

  Args:
    mode: "ops", "pytorch" or the like, for the title.
    results: what was timed -> {"vidjax" or another library: milliseconds}.
    origin: the machine and the versions, for the caption.
  """
  from rich.console import Console
  from rich.table import Table

  others = list(dict.fromkeys(name for times in results.values() for name in times if name != "vidjax"))
  table = Table(title=f"vidjax.benchmark {mode}", caption=f"above 1: vidjax is faster; {_caption(origin)}")
  for header in ("", "vidjax ms", *(f"{name} / vidjax" for name in others)):
    table.add_column(header, justify="right" if header else "left")
  for name, times in results.items():
    ours = times["vidjax"].median
    ratios = [f"{times[other].median / ours:.2f}" if other in times else "" for other in others]
    table.add_row(name, _text(ours), *ratios)
  Console().print(table)


def show_columns(mode: str, results: dict[str, dict[str, Any]], origin: dict[str, Any]) -> None:
  """Prints a table with a row for each thing that was measured; of several runs, the median.

  Args:
    mode: "pooling" or the like, for the title.
    results: what was measured -> column -> number or Spread.
    origin: the machine and the versions, for the caption.
  """
  from rich.console import Console
  from rich.table import Table

  table = Table(title=f"vidjax.benchmark {mode}", caption=_caption(origin))
  for header in ("", *next(iter(results.values()))):
    table.add_column(header, justify="right" if header else "left", no_wrap=not header)
  for name, row in results.items():
    numbers = [value.median if isinstance(value, Spread) else value for value in row.values()]
    table.add_row(name, *map(_text, numbers))
  Console(width=max(Console().width, WIDE)).print(table)


def _caption(origin: dict[str, Any]) -> str:
  versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
  return f"{origin['device']}, {origin['cores']} cores, {origin['system']}; {versions}; commit {origin['commit']}"


def _plain(value: Any) -> Any:
  if isinstance(value, dict):
    return {name: _plain(part) for name, part in value.items()}
  return dataclasses.asdict(value) if isinstance(value, Spread) else value


def _text(value: Any) -> str:
  if not isinstance(value, float):
    return f"{value:,}" if isinstance(value, int) else str(value)
  return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
