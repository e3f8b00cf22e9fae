"""Mistakes of `test_bad_input.py` with stored features and their clusters (`configs/deep_residual.py`)."""

import json
import pathlib
import shutil
from collections.abc import Callable

import numpy as np

from tests.bad_input_cases import Case
from tests.bad_input_setups import both, file
from tests.conftest import ROOT
from vidjax.data import schema, write
from vidjax.data.dataset import BACKBONE

STEPS, WIDTH = 9, 3
SETTINGS = f"""--config.data.dir={{tmp}}/data --config.data.name=features/small --config.stream.width={WIDTH}
  --config.sampler.num_segments={STEPS} --config.model.window=4 --config.model.clusters=3 --config.train.batch_size=4
  --config.train.devices=1 --config.train.epochs=1. --workdir={{tmp}}/run"""
RAW = f"train --config={ROOT}/configs/deep_residual.py:mini-raw {SETTINGS}"
TABLE = f"train --config={{tmp}}/clusters.py {SETTINGS}"
CLUSTERS = file(
  "clusters.py",
  """from configs import deep_residual
def get_config():
  c = deep_residual.get_config("mini")
  phase = {**c.phases[3], "init": {"start": {"make": "vidjax.train.clusters.KMeans", "starts": 1}}}
  phase["model"] = {**phase["model"], "window": 4, "widths": (2,), "clusters": 3, "records": 8}
  c.phases = (phase,)
  return c
""",
)


def small(values: Callable[[int], np.ndarray], backbone: str = "a") -> Callable[[pathlib.Path], None]:
  """features/small, of 8 videos to train on and 4 to validate.

  Args:
    values: number of a video -> its features `[T, F]`.
    backbone: what made them.
  """

  def setup(tmp: pathlib.Path) -> None:
    def examples():
      for number in range(12):
        x = values(number).astype(np.float32)
        split, rest = "train" if number < 8 else "validation", {"features": x, "frame_labels": [number % 2] * len(x)}
        yield split, schema.example(number % 2, f"video_{number}", 10.0, len(x), **rest)

    def fill(folder: pathlib.Path) -> None:
      splits, optional = ("train", "validation"), ("frame_labels",)
      write.write_records(folder, "features/small", splits, examples(), ("a", "b"), optional, "features", WIDTH)
      (folder / BACKBONE).write_text(json.dumps({"sha256": backbone}))
      write.seal(folder, [BACKBONE])

    shutil.rmtree(tmp / "data", ignore_errors=True)
    write.fill_folder(tmp / "data" / "features" / "small" / write.VERSION, fill)

  return setup


def noise(number: int, steps: int = STEPS) -> np.ndarray:
  return np.random.default_rng(number).random((steps, WIDTH))


CASES = (
  Case("features: more clusters than windows", RAW + " --config.model.clusters=40",
    ("clusters=40: the training split has 24 windows", "set model.clusters to at most that"), small(noise)),
  Case("features: constant", RAW, ("all features of features/small are constant", "prepare them again"),
    small(lambda number: np.full((STEPS, WIDTH), number))),
  Case("features: clusters that stay empty", RAW + " --config.model.remove_mean=False",
    ("clusters=3: fewer embeddings of the training split differ", "set model.clusters lower"),
    small(lambda number: np.full((STEPS, WIDTH), number % 2))),
  Case("features: windows longer than the clip", RAW + " --config.model.window=12",
    ("window=12", "a clip of 9 steps holds no such window", "num_segments=12", "a window of up to 9"), small(noise)),
  Case("features: unequal lengths under a table", TABLE,
    ("the sampler draws others of video_", "steps: sample that many", "model.table=False"),
    both(CLUSTERS, small(lambda number: noise(number, STEPS + 7 * (number % 2))))),
  Case("features: as many records as there are not", TABLE + " --config.phases[0].model.records=5",
    ("model.records=5: 8 records are trained on",), both(CLUSTERS, small(noise))),
  Case("features: nothing behind a window",
    TABLE + " --config.phases[0].model.steps=2 --config.sampler.num_segments=4",
    ("nothing follows a window of 4 in a clip of 4 steps", "sample more"),
    both(CLUSTERS, small(noise))),
)  # fmt: skip
