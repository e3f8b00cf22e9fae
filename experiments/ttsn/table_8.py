"""Time of a video in inference, loading included, in batches of 4 (TTSN Table VIII; printed of an RTX 3090).

  python -m experiments.ttsn.table_8 --videos=DIR --out=DIR

Each film is decoded whole to its sampled frames, shrunk to a short side of 256, and cut to 224 pixels; then the batch
goes through the network. Without --videos, four films of 6 seconds, 320 x 240 pixels at 25 frames a second, are made.
The medians of `--rounds` are stated with this machine; weights are random, which changes no time. DIR then holds
`table.md`, and `results.csv` in the columns of the other tables.
"""

import csv
import datetime
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

import av
import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.tables.shown import HEADS
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


def write_csv(path: pathlib.Path, found: Mapping[str, tuple[float, float]]) -> None:
  """Writes the numbers, a line each, in the columns of the other tables' `results.csv`.

  Args:
    path: of the file.
    found: row -> milliseconds of loading, and of the network.
  """
  made = provenance()
  origin = {
    "commit": made["commit"],
    "machine": f"{made['device']}, {made['cores']} cores, {made['system']}",
    "date": datetime.date.today().isoformat(),
    "command": made["command"],
  }
  with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, HEADS)
    writer.writeheader()
    for name, ms in ({name: ms for name, (_, ms) in ROWS.items()} | CITED).items():
      own = {"table": TITLE, "row": name, "kind": kind(name)}
      writer.writerow({**own, "status": "printed", "column": "ms", "number": ms})
      if name in found:
        loading, network = found[name]
        for column, number in (("ms", loading + network), ("ms, loading", loading), ("ms, network", network)):
          writer.writerow({**own, "status": "measured", "column": column, "number": f"{number:.4g}", **origin})


def kind(name: str) -> str:
  """Of a row, as in the other tables."""
  return "cited" if name in CITED else "own" if name.startswith("TTSN") else "rerun"


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  with tempfile.TemporaryDirectory() as folder:
    given = sorted(map(str, pathlib.Path(values.videos).iterdir())) if values.videos else films(pathlib.Path(folder))
    if len(given) < BATCH:
      raise InputError(f"--videos={values.videos} holds {len(given)} films: {BATCH} or more are needed")
    lines = [
      f"| {TITLE}, ms a video | printed | here, in all | loading | network |",
      "|---|---|---|---|---|",
    ]
    found = {}
    for name, (config, printed) in ROWS.items():
      found[name] = loading, network = measure(config, given[:BATCH], values.rounds)
      lines.append(f"| {name} | {printed:g} | {loading + network:.1f} | {loading:.1f} | {network:.1f} |")
      say(lines[-1])
  lines += [f"| {name} | {printed:g} | | | |" for name, printed in CITED.items()]
  origin = provenance()
  lines += ["", "Here: " + ", ".join(f"{key} {origin[key]}" for key in origin if origin[key])]
  out = pathlib.Path(values.out)
  out.mkdir(parents=True, exist_ok=True)
  write_text(out / "table.md", "\n".join(lines) + "\n")
  write_csv(out / "results.csv", found)
  say(f"wrote table.md and results.csv to {out}")


if __name__ == "__main__":
  flags.DEFINE_string("videos", None, "Folder of films; the first four by name are read.")
  flags.DEFINE_string("out", None, "Folder for the table.", required=True)
  flags.DEFINE_integer("rounds", 5, "How often each is measured.", 1)
  run_main(main)
