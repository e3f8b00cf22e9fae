"""What users add without touching vidjax: a task, a stream, a data source, three phases; each by the real command.

Each lies in a file of its own beside a config, as a user would write it, in fewer than 40 lines.
"""

import json

import pytest

TASK = '''
"""How far along its class is: the label as a number, by its squared error."""
import dataclasses

import jax.numpy as jnp
import numpy as np
from configs import quickstart
from vidjax.types import Summary


@dataclasses.dataclass(frozen=True)
class Regression:
  targets: tuple[str, ...] = ("label", "mask")
  metric: str = "-error"

  def prepare(self, batch):
    return {**batch, "number": jnp.asarray(batch["label"], jnp.float32)}

  def measure(self, output, batch):
    return {"error": jnp.abs(output.logits[:, 0] - batch["number"])}

  def answer(self, output):
    return output.logits[:, 0]

  def summarize(self, scores, class_names):
    error = float(np.abs(scores.scores - scores.label).mean())
    return Summary({"error": error}, {"videos": len(scores.index)}, line=f"mean error {error:.3f}")


class SquaredError:
  def __call__(self, output, batch):
    return {"squared": jnp.mean((output.logits[:, 0] - batch["number"]) ** 2, where=batch["mask"])}


def get_config():
  c = quickstart.get_config()
  c.task = {"make": "mine.Regression"}
  c.losses = ({"make": "mine.SquaredError"},)
  return c
'''

STREAM = '''
"""Clips of grey frames and their change from frame to frame: two channels."""
import dataclasses

import numpy as np
from configs import quickstart
from vidjax.data.streams import Frames


@dataclasses.dataclass(frozen=True)
class Change(Frames):
  gives = frozenset({"pixels"})

  def clip_shape(self, frames, size):
    return frames, size, size, 2

  def of(self, record):
    return Changes(record)


@dataclasses.dataclass(frozen=True)
class Changes:
  record: object
  num_frames = property(lambda self: self.record.num_frames - 1)
  times = property(lambda self: None)

  def decode(self, numbers):
    before, after = (self.record.decode(numbers + k).mean(-1) for k in (0, 1))
    return np.stack([before, (after - before) / 2 + 127.5], -1).astype(np.uint8)


def get_config():
  c = quickstart.get_config()
  c.stream = {"make": "mine.Change"}
  c.normalise.mean, c.normalise.std = (0.5, 0.5), (0.5, 0.5)
  return c
'''

SOURCE = '''
"""Squares that grow or shrink, made on first use."""
import pathlib

import numpy as np
from configs import quickstart
from vidjax.data import schema, write


def prepare(variant, data_dir):
  folder = pathlib.Path(data_dir) / "mine" / variant
  write.fill_folder(folder, lambda partial: fill(partial, int(variant)))
  return folder


def fill(folder, count):
  splits, classes = ("train", "validation"), ("grows", "shrinks")
  examples = ((split, video(split, i)) for split in splits for i in range(count))
  write.write_records(folder, "mine/squares", splits, examples, classes)


def video(split, number):
  frames = np.zeros((6, 24, 24, 3), np.uint8)
  for t in range(6):
    side = 4 + 2 * (t if number % 2 == 0 else 5 - t)
    frames[t, :side, :side] = 255
  return schema.example(number % 2, f"{split}_{number}", 8.0, 6, video=schema.encode_frames(frames))


def get_config():
  c = quickstart.get_config()
  c.data.name = "mine/12"
  return c
'''

PHASES = '''
"""The backbone; a new classifier from the class means, alone; then both by another optimizer, from two phases."""
import jax.numpy as jnp
import numpy as np
from configs import quickstart


def class_means(run, variables, loader):
  """Starts the classifier at the mean colour of each class, as k-means would its centres."""
  batch = next(loader.batches())
  kernel = np.array(variables["params"]["classifier"]["kernel"])
  for label in range(kernel.shape[1]):
    kernel[:, label] = batch["video"][batch["label"] == label].mean() / 255 if (batch["label"] == label).any() else 0
  params = {**variables["params"], "classifier": {**variables["params"]["classifier"], "kernel": jnp.array(kernel)}}
  return {**variables, "params": params}


class Means:
  def __call__(self, run, variables, loader):
    return class_means(run, variables, loader)


def get_config():
  c = quickstart.get_config()
  constant = {"make": "optax.constant_schedule", "value": 1e-3}
  c.phases = (
    {"name": "whole", "train": {"steps": 2}},
    {"name": "head", "train": {"steps": 3, "frozen": ("backbone",)}, "init": {"start": {"make": "mine.Means"}}},
    {
      "name": "both",
      "optimizer": {"make": "optax.adamw", "weight_decay": 0.01},
      "schedule": constant,
      "init": {"phase": {"backbone": "whole", "classifier": "head"}},
      "train": {"epochs": 1.0},
    },
  )
  return c
'''


@pytest.fixture
def mine(tmp_path, train):
  """`mine(text, *flags) -> output`: trains by a config in a file `mine.py`."""

  def run(text: str, *flags: str, code: int = 0, **options: str) -> str:
    assert len(text.strip().splitlines()) < 40
    (tmp_path / "mine.py").write_text(text)
    return train(tmp_path / "run", *flags, config=str(tmp_path / "mine.py"), code=code, **options)

  return run


@pytest.mark.slow
def test_a_task_of_ones_own(mine, tmp_path):
  output = mine(TASK)
  assert "mean error" in output
  report = json.loads((tmp_path / "run" / "evaluation" / "validation.json").read_text())
  lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
  errors = [line["validation/error"] for line in lines if "validation/error" in line]
  assert report["error"] == pytest.approx(min(errors))
  assert "validation/loss/squared" in lines[-1]


@pytest.mark.slow
def test_a_stream_of_ones_own(mine):
  assert "best checkpoint" in mine(STREAM)
  jitter = '--config.device_transforms=({"make": "vidjax.apply.device_augment.ColorJitter"},)'
  assert "stream.make=Change gives no colour, which ColorJitter needs" in mine(STREAM, jitter, code=2)


@pytest.mark.slow
def test_a_data_source_of_ones_own(mine, tmp_path):
  output = mine(SOURCE, f"--config.data.dir={tmp_path / 'data'}", "--config.data.name=mine.x/12", code=2)
  assert "cannot import 'mine.x'" in output
  (tmp_path / "sources").mkdir()
  (tmp_path / "sources" / "squares.py").write_text(SOURCE)
  output = mine(SOURCE, f"--config.data.dir={tmp_path / 'data'}", "--config.data.name=sources.squares/12")
  assert "sources.squares/12: 12 training records, 2 classes" in output


@pytest.mark.slow
def test_three_phases_of_ones_own(mine, tmp_path):
  output = mine(PHASES, without="epochs")
  assert "init.start: mine.Means" in output
  assert "phase 3 of 3" in output
  folders = ["1_whole", "2_head", "3_both"]
  steps = [
    json.loads((tmp_path / "run" / name / "metrics.jsonl").read_text().splitlines()[-1])["step"] for name in folders
  ]
  assert steps == [2, 3, 4]
  assert "backbone of 1_whole, classifier of 2_head" in output
  assert "is finished" in mine(PHASES, without="epochs")
