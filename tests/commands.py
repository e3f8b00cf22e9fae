"""Fixtures: a tiny data set, and the real training command on it."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.xla import xla_flags
from vidjax.data import schema, write

TINY = (
  "--config.data.name=folder/tiny",
  "--config.sampler.num_segments=3",
  "--config.transforms[0].size=16",
  "--config.test.size=16",
  "--config.test.short_side=16",
  "--config.model.backbone.widths=(8,8,8,8)",
  "--config.train.batch_size=4",
  "--config.train.epochs=2",
  "--config.train.log_every=1",
)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> pathlib.Path:
  """A data folder with folder/tiny: two classes, 18 training and 5 validation clips of 6 frames of 16 x 20 pixels.

  In folder/tiny_flow there are five flow images with each.
  """
  root = tmp_path_factory.mktemp("data")

  def examples(optional):
    rng = np.random.default_rng(0)
    for split, count in (("train", 18), ("validation", 5)):
      for i in range(count):
        frames = rng.integers(0, 255, (6, 16, 20, 3)).astype(np.uint8)
        rest = {name: schema.encode_frames(frames[1:]) for name in optional}
        yield split, schema.example(i % 2, f"{split}_{i}", 10.0, 6, video=schema.encode_frames(frames), **rest)

  for name, optional in (("tiny", ()), ("tiny_flow", ("flow",))):

    def fill(folder: pathlib.Path, name: str = name, optional: tuple[str, ...] = optional) -> None:
      splits, classes = ("train", "validation"), ("left", "right")
      write.write_records(folder, f"folder/{name}", splits, examples(optional), classes, optional)

    write.fill_folder(root / "folder" / name / write.VERSION, fill)
  return root


@pytest.fixture
def command(tiny_data):
  """`command(workdir, *flags)`: the argument list of the training command on the tiny data."""

  def make(
    workdir: pathlib.Path, *flags: str, config: str = "configs/quickstart.py", without: str = "nothing"
  ) -> list[str]:
    given = {flag.partition("=")[0] for flag in flags}
    kept = [flag for flag in TINY if flag.partition("=")[0] not in given and not re.search(without, flag)]
    data = f"--config.data.dir={tiny_data}"
    return [sys.executable, "-m", "vidjax.train", f"--config={config}", f"--workdir={workdir}", data, *kept, *flags]

  return make


@pytest.fixture
def environment() -> dict[str, str]:
  """Environment of a command: one CPU device unless told, the tests' compilation cache."""
  return {**os.environ, "XLA_FLAGS": xla_flags()}


@pytest.fixture
def train(command, environment):
  """Runs the training command to its end: `train(workdir, *flags, devices=1, code=0) -> its output`."""

  def run(workdir: pathlib.Path, *flags: str, devices: int = 1, code: int = 0, **options: str) -> str:
    done = subprocess.run(
      command(workdir, *flags, **options),
      env={**environment, "XLA_FLAGS": xla_flags(devices)},
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      timeout=300,
    )
    assert done.returncode == code, done.stdout[-3000:]
    return done.stdout

  return run
