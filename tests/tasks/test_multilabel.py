"""Several labels a video: from a list to mAP, by the real commands, and each number by hand."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny_run import write_video
from vidjax.data.augment import Flip
from vidjax.data.dataset import open_dataset
from vidjax.data.read_film import Storage
from vidjax.data.schema import Record
from vidjax.errors import ConfigError, InputError
from vidjax.losses.classification import BinaryCrossEntropy
from vidjax.prepare.folder import prepare_folder
from vidjax.tasks.multilabel import MultiLabel, best_threshold
from vidjax.types import Output, Scores

NAMES = ["run", "jump", "wave", "never"]
ROWS = [{"a", "b"}, {"b"}, set(), {"c"}, {"a", "c"}, {"b", "c"}, {"a"}, {"a", "b", "c"}]


def average_precision(label, score):
  """The mean, over the positive videos, of the precision among those that score at least as high."""
  return np.mean([(label & (score >= s)).sum() / (score >= s).sum() for s in score[label]])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000))
def test_map_and_f1_are_those_by_hand(seed):
  rng = np.random.default_rng(seed)
  label = rng.random((9, 3)) < 0.4
  label[0, :2] = True
  label = np.concatenate([label, np.zeros((9, 1), bool)], axis=1)
  scores = rng.permutation(36).reshape(9, 4) / 36  # no two alike
  summary = MultiLabel(4).summarize(Scores(np.arange(9), label, scores), NAMES)
  own = [k for k in range(4) if label[:, k].any()]
  assert summary.numbers["map"] == pytest.approx(np.mean([average_precision(label[:, k], scores[:, k]) for k in own]))
  found = scores >= 0.5
  precision, recall = (label & found).sum() / max(found.sum(), 1), (label & found).sum() / label.sum()
  assert summary.numbers["f1"] == pytest.approx(2 * precision * recall / max(precision + recall, 1e-9))
  assert summary.details["classes_with_videos"] == len(own)
  for k in own:
    threshold, f1 = best_threshold(label[:, k], scores[:, k])
    f1s = {t: 2 * (label[:, k] & (scores[:, k] >= t)).sum() / (label[:, k].sum() + (scores[:, k] >= t).sum())
           for t in scores[:, k]}  # fmt: skip
    assert f1 == pytest.approx(max(f1s.values()))
    assert f1s[threshold] == pytest.approx(f1)


def test_loss_and_hits_are_those_by_hand():
  logits = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [9.0, 9.0, 9.0]])
  label = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 0]], bool)
  batch = {"label": label, "mask": np.array([True, True, False])}
  batch = MultiLabel(3).prepare(batch)
  output = Output(jnp.asarray(logits), jnp.zeros((3, 1)))
  p = 1 / (1 + np.exp(-logits[:2]))
  for weight in (1.0, 3.0):
    expected = -np.where(label[:2], weight * np.log(p), np.log(1 - p)).mean()
    np.testing.assert_allclose(BinaryCrossEntropy(weight)(output, batch)["classification"], expected, rtol=1e-6)
  np.testing.assert_array_equal(MultiLabel(3).measure(output, batch)["hit1"][:2], [True, False])
  np.testing.assert_allclose(MultiLabel(3).answer(output)[:2], p, rtol=1e-6)


def test_a_flip_exchanges_labels_of_several():
  clip = {"video": np.zeros((1, 2, 2, 3), np.uint8), "label": np.array([True, False, True, False])}
  flipped = Flip(1.0, swap=((0, 1),))(clip, np.random.default_rng(0))
  np.testing.assert_array_equal(flipped["label"], [False, True, True, False])


def test_what_does_not_fit_is_refused():
  with pytest.raises(ConfigError, match="each video of this data set has one label"):
    jax.eval_shape(MultiLabel(3).prepare, {"label": np.zeros(2, np.int32)})
  with pytest.raises(ConfigError, match="threshold"):
    MultiLabel(3, threshold=1.0)
  with pytest.raises(InputError, match="no video has any of the classes"):
    MultiLabel(2).summarize(Scores(np.arange(2), np.zeros((2, 2), bool), np.zeros((2, 2))), ["a", "b"])


@pytest.fixture(scope="module", params=["csv", "json"])
def data(request, tmp_path_factory):
  """folder/several: 16 films of any of three classes, from a list of either kind."""
  root = tmp_path_factory.mktemp("data")
  (root / "films").mkdir()
  rows = []
  for i in range(2 * len(ROWS)):
    write_video(root / "films" / f"{i}.mp4", i)
    rows.append((f"{i}.mp4", sorted(ROWS[i % len(ROWS)]), "train" if i < len(ROWS) else "validation"))
  path = root / "films" / f"list.{request.param}"
  if request.param == "json":
    path.write_text(json.dumps([{"path": name, "labels": labels, "split": split} for name, labels, split in rows]))
  else:
    path.write_text("path,labels,split\n" + "".join(f"{n},{' ; '.join(labels)},{s}\n" for n, labels, s in rows))
  report = prepare_folder(path, "several", root, storage=Storage(24))
  assert [len(entry["labels"]) for entry in report.kept if entry["file"] == "7.mp4"] == [3]
  return root


def test_a_list_of_several_labels_becomes_records(data):
  dataset = open_dataset("folder/several", str(data))
  assert dataset.class_names == ["a", "b", "c"]
  assert dataset.has_labels("train")
  source = dataset.source("validation")
  records = [Record.parse(source[i]) for i in range(len(source))]
  for record in records:
    number = int(record.video_id.removesuffix(".mp4"))
    assert {dataset.class_names[k] for k in record.labels} == ROWS[number % len(ROWS)]


@pytest.mark.slow
def test_it_trains_and_evaluates_by_the_commands(data, train, tmp_path):
  output = train(
    tmp_path / "run",
    "--config.data.name=folder/several",
    f"--config.data.dir={data}",
    "--config.sampler.num_segments=2",
    "--config.train.epochs=2",
    "--config.train.evaluate_every=1",
    config="configs/multilabel.py:mini",
  )
  assert "mAP" in output
  wrong = [f"--config.data.dir={data}", "--config.data.name=folder/several", "--config.sampler.num_segments=2"]
  output = train(tmp_path / "one", *wrong, config="configs/folder.py:mini", code=2)
  assert "a video of folder/several has any number of labels, which Classification does not take: train with" in output
  softmax = '--config.losses=({"make": "vidjax.losses.classification.CrossEntropy"},)'
  output = train(tmp_path / "two", *wrong, softmax, config="configs/multilabel.py:mini", code=2)
  assert "CrossEntropy takes one class for each video, and MultiLabel has several: use" in output
  output = train(tmp_path / "three", *wrong, "--config.task.metric=top1", config="configs/multilabel.py:mini", code=2)
  assert "task.metric='top1': MultiLabel has map, f1, hit1, or -loss/NAME of a loss" in output
  report = json.loads((tmp_path / "run" / "evaluation" / "validation.json").read_text())
  lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
  validations = [line for line in lines if "validation/map" in line]
  assert len(validations) == 2
  assert {"validation/f1", "validation/hit1", "validation/loss/classification"} <= set(validations[0])
  assert report["map"] == pytest.approx(max(line["validation/map"] for line in validations))
  with np.load(tmp_path / "run" / "evaluation" / "validation_scores.npz") as saved:
    assert saved["label"].shape == (len(ROWS), 3)
    own = [average_precision(saved["label"][:, k], saved["scores"][:, k]) for k in range(3)]
  assert report["map"] == pytest.approx(np.mean(own), abs=1e-6)
  rows = list(csv.DictReader((tmp_path / "run" / "evaluation" / "validation_classes.csv").read_text().splitlines()))
  assert {row["class"] for row in rows} == {"a", "b", "c"}
