"""Time of a video in inference, loading included, in batches of 4 (TTSN Table VIII; printed of an RTX 3090).

  python -m experiments.ttsn.table_8 --videos=DIR --out=DIR

Each film is decoded whole to its sampled frames, shrunk to a short side of 256, and cut to 224 pixels; then the batch
goes through the network. Without --videos, four films of 6 seconds, 320 x 240 pixels at 25 frames a second, are made.
The medians of `--rounds` are stated with this machine; weights are random, which changes no time. DIR then holds
`table.md` with Kendall's tau, `table.png`, and `results.csv` in the columns of the other tables, where the status is
"measured". `--rows=` takes a part of the rows.
"""

import csv
import datetime
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import av
import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.tables.command import out_folder, say_text, whole_names
from experiments.tables.row import Row, Table
from experiments.tables.shown import HEADS, draw, gather, markdown
from vidjax.apply.forward import forward
from vidjax.benchmark.measure import provenance
from vidjax.command import config_with, run_main
from vidjax.console import say
from vidjax.data.sample_film import sample_file
from vidjax.errors import InputError
from vidjax.files import whole, write_text
from vidjax.recipe import Recipe, make_recipe, make_views

TITLE = "TTSN Table VIII"
BATCH, SHORT_SIDE = 4, 256
ROWS = {  # name -> config, printed milliseconds a video
  "TTSN, 8 frames": ("configs/ttsn.py:ssv1", 16.1),
  "TTSN, 16 frames": ("configs/ttsn.py:ssv1,frames=16", 29.38),
  "TDN, 8 segments": ("configs/ttsn.py:ssv1,backbone=tdn,ett=off,tss=off", 22.1),
  "TSM, 16 frames": ("configs/attention.py:ssv1,attention=none,frames=16", 16.7),
  "TSN, 8 frames": ("configs/tdrl.py:ssv1,tm=none,enhance=none,td=none", 7.9),
}
CITED = {"STM": 11.1, "I3D": 2095.0}
PRINTED = {**{name: ms for name, (_, ms) in ROWS.items()}, **CITED}


def kind(name: str) -> str:
  """Of a row, as in the other tables."""
  return "cited" if name in CITED else "own" if name.startswith("TTSN") else "rerun"


TABLE_8 = Table(TITLE, [Row(name, {"ms": ms}, kind(name)) for name, ms in PRINTED.items()], pairs=(("ms", "ms"),))


def films(folder: pathlib.Path) -> list[str]:
  """Makes the films."""
  paths = []
  for number in range(BATCH):
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (30, 40, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    paths.append(str(folder / f"{number}.mp4"))
    with av.open(paths[-1], "w") as container:
      stream = container.add_stream("libx264", rate=25)
      stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
      for i in range(150):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(image, 2 * i, axis=1), format="rgb24")))
      container.mux(stream.encode(None))
  return paths


def load(recipe: Recipe, files: Sequence[str]) -> np.ndarray:
  """The clips of films, uint8 `[B, T, 224, 224, 3]`."""
  _, crops = make_views(recipe)
  clips = []
  for file in files:
    _, video = sample_file(file, lambda count, times: recipe.sampler.test(count, 1, times)[0], SHORT_SIDE)
    clips.append(crops(video[None])[0])
  return np.stack(clips)


def measure(config: str, files: Sequence[str], rounds: int) -> tuple[float, float]:
  """Milliseconds a video of loading, and of the network: medians.

  Args:
    config: of the network.
    files: the films, a batch.
    rounds: how often each is measured.
  """
  recipe = make_recipe(config_with(config, ()), [str(i) for i in range(174)])
  clips = load(recipe, files)
  variables = jax.jit(lambda: recipe.network.init(jax.random.key(0), jnp.zeros((1, *recipe.clip_shape)), False))()

  @jax.jit
  def scores(variables: dict, clips: jax.Array) -> jax.Array:
    return forward(recipe.network, variables, recipe.normalise(clips), False)[0].logits

  loading = [timed(lambda: load(recipe, files)) for _ in range(rounds)]
  scores(variables, clips).block_until_ready()
  network = [timed(lambda: scores(variables, clips).block_until_ready()) for _ in range(rounds)]
  return statistics.median(loading) / len(files), statistics.median(network) / len(files)


def timed(function: Callable[[], object]) -> float:
  """Milliseconds of a call."""
  start = time.perf_counter()
  function()
  return 1000 * (time.perf_counter() - start)


def measured(found: Mapping[str, tuple[float, float]]) -> list[dict[str, Any]]:
  """Times in the form of a sweep's numbers.

  Args:
    found: row -> milliseconds of loading, and of the network.
  """
  made = provenance()
  origin = {
    "commit": made["commit"],
    "machine": f"{made['device']}, {made['cores']} cores, {made['system']}",
    "date": datetime.date.today().isoformat(),
    "command": made["command"],
  }
  own = {name: {"ms": sum(both), "ms, loading": both[0], "ms, network": both[1]} for name, both in found.items()}
  return [{"row": name, "column": "", "seed": None, "numbers": numbers, **origin} for name, numbers in own.items()]


def write_csv(path: pathlib.Path, found: Sequence[Mapping[str, Any]]) -> None:
  """Writes the numbers, a line each, in the columns of the other tables' `results.csv`.

  Args:
    path: of the file.
    found: see `measured`.
  """
  with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, HEADS)
    writer.writeheader()
    for row in TABLE_8.rows:
      head = {"table": TITLE, "row": row.name, "kind": row.kind}
      writer.writerow({**head, "status": "printed", "column": "ms", "number": row.printed["ms"]})
      for one in (one for one in found if one["row"] == row.name):
        origin = {key: one[key] for key in ("commit", "machine", "date", "command")}
        for column, number in one["numbers"].items():
          writer.writerow({**head, "status": "measured", "column": column, "number": f"{number:.4g}", **origin})


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  names = whole_names(values.rows, TABLE_8) or list(ROWS)
  if unknown := [name for name in names if name not in ROWS]:
    raise InputError(f"--rows names {', '.join(unknown)}; {TITLE} measures {', '.join(ROWS)}")
  out, times = out_folder(), {}
  if values.videos and not pathlib.Path(values.videos).is_dir():
    raise InputError(f"--videos={values.videos} is not there: name a folder of {BATCH} films or more")
  with tempfile.TemporaryDirectory() as folder:
    given = sorted(map(str, pathlib.Path(values.videos).iterdir())) if values.videos else films(pathlib.Path(folder))
    if len(given) < BATCH:
      raise InputError(f"--videos={values.videos} holds {len(given)} films: {BATCH} or more are needed")
    for name in names:
      times[name] = loading, network = measure(ROWS[name][0], given[:BATCH], values.rounds)
      say(f"{name}: {loading + network:.1f} ms a video, {loading:.1f} of them loading")
  found = measured(times)
  origin = provenance()
  text = markdown(TABLE_8, found) + "Here: " + ", ".join(f"{key} {origin[key]}" for key in origin if origin[key]) + "\n"
  out.mkdir(parents=True, exist_ok=True)
  write_text(out / "table.md", text)
  write_csv(out / "results.csv", found)
  draw(out / "table.png", TABLE_8, gather(found))
  say_text(text)
  say(f"wrote table.md, results.csv and table.png to {out}")


if __name__ == "__main__":
  flags.DEFINE_string("videos", None, "Folder of films; the first four by name are read.")
  flags.DEFINE_string("out", None, "Folder for the table.")
  flags.DEFINE_integer("rounds", 5, "How often each is measured.", 1)
  flags.DEFINE_list("rows", [], "Names of the rows to measure (default: all).")
  run_main(main)
