"""Training without labels by the real command, and hits of key moments by hand."""

import json

import numpy as np
import pytest

from vidjax.tasks.keyframes import hits
from vidjax.tasks.reconstruction import Reconstruction
from vidjax.types import Output, Scores


def test_hits_by_hand():
  kept = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1], [1, 1, 1, 1]], bool)
  key = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)  # the last has no key moment
  found = hits(kept, key)
  np.testing.assert_allclose(found["precision"], (1 / 2 + 0 + 2 / 3) / 3)
  np.testing.assert_allclose(found["recall"], (1 / 2 + 0 + 1) / 3)
  np.testing.assert_allclose(found["f"], (1 / 2 + 0 + 0.8) / 3)


def test_summary():
  scores = Scores(np.arange(2), np.zeros(2, int), np.array([[0.9, 0.1], [0.2, 0.3]]), {}, {"key_frames": np.eye(2) > 0})
  summary = Reconstruction(key_frames=True).summarize(scores, [])
  assert summary.numbers["kept"] == 0.5
  assert summary.numbers["f"] == 1
  assert summary.details["videos_with_every_gate_shut"] == 1
  assert "every gate was shut in 1 of 2 videos: the best step of each is kept" in summary.line


def test_padding_is_no_step():
  attention = np.array([[0.9, 0.1, 0.0, 0.0], [0.9, 0.6, 0.2, 0.1], [0.0] * 4])
  steps = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0] * 4], bool)
  scores = Scores(np.arange(3), np.zeros(3, int), attention, {}, {"key_frames": np.eye(3, 4) > 0, "steps": steps})
  numbers = Reconstruction(key_frames=True).summarize(scores, []).numbers
  assert numbers["kept"] == pytest.approx(3 / 6)
  assert numbers["attention"] == pytest.approx(2.8 / 6)
  assert numbers["recall"] == 1  # the third video has none, since its key moment lies in padding
  output = Output(None, np.zeros((3, 1)), {"attention": attention, "mask": steps})
  np.testing.assert_allclose(Reconstruction().measure(output, {})["open"], [0.5, 0.5, 0])
  np.testing.assert_array_equal(Reconstruction().answer(output)["steps"], steps)


@pytest.mark.slow
def test_it_trains_without_labels_by_the_command(train, tmp_path):
  """Each second video ends with two steps of zeros, which are padding."""
  from vidjax.data import schema, write

  rng = np.random.default_rng(0)

  def examples():
    for split, count in (("train", 12), ("validation", 5)):
      for i in range(count):
        features = rng.normal(size=(7, 6)).astype(np.float32)
        features[5:] *= i % 2
        yield split, schema.example(-1, f"{split}_{i}", 4.0, 7, features=features, key_frames=[i % 7])

  folder = tmp_path / "data" / "features" / "bare" / write.VERSION
  write.fill_folder(
    folder,
    lambda partial: write.write_records(
      partial, "features/bare", ("train", "validation"), examples(), ["a"], ["key_frames"], "features", 6
    ),
  )
  flags = (
    "--config.data.name=features/bare",
    f"--config.data.dir={tmp_path / 'data'}",
    "--config.sampler.num_segments=7",
    "--config.model.depth=1",
    "--config.model.width=8",
    "--config.task.key_frames=True",
  )
  options = {"config": "configs/rtsae.py", "without": r"widths|\.size|short_side"}
  wrong = train(tmp_path / "wrong", *flags, "--config.stream.width=5", code=2, **options)
  assert "stream.width=5: the features of features/bare have 6 numbers" in wrong
  output = train(tmp_path / "run", *flags, "--config.stream.width=6", **options)
  report = json.loads((tmp_path / "run" / "evaluation" / "validation.json").read_text())
  assert {"kept", "precision", "recall", "f", "videos_with_every_gate_shut"} <= set(report)
  assert report["kept"] * 29 == pytest.approx(round(report["kept"] * 29))  # of 5 * 7 steps, 6 are padding
  assert "kept" in output
  lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
  assert {"loss/reconstruction", "loss/diversity", "loss/low_rank", "loss/output_l1", "loss/gate_l1"} <= set(lines[0])
  assert "validation/loss/reconstruction" in lines[-1]
