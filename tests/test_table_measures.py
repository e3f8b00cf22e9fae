"""What single tables measure and state beside the accuracy, and trainings that tables have in common."""

import csv
import json
import pathlib
import types
from unittest import mock

import numpy as np
import pytest

from experiments.rtsae import figures, keyframes
from experiments.tables import shown
from experiments.tables.found import tables
from experiments.tables.measures import last, validated
from experiments.tables.sweep import Sweep
from experiments.tdrl import table_4
from experiments.ttsn import classes, figure_3, table_7, table_8
from vidjax.command import config_with
from vidjax.run.opened import Run

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
TINY = (
  "--config.model.backbone.widths=(8,8,8,8)",
  "--config.sampler.num_segments=2",
  "--config.transforms[0].size=16",
  "--config.test.size=16",
  "--config.test.short_side=16",
  "--config.train.batch_size=2",
  "--config.train.devices=1",
)


@pytest.mark.parametrize(
  ("name", "row", "other", "same"),
  [
    ("tdrl.table_2", "TDRL 16f", "tdrl.table_1", "TDRL 16f"),
    ("ttsn.table_7", "RR", "ttsn.table_6", "ETT + TSS"),
    ("ttsn.figure_3", "down 8", "ttsn.table_6", "ETT"),
  ],
)
def test_what_tables_have_in_common_is_trained_by_the_same_command(name, row, other, same):
  """So that it is trained once."""

  def command(table: str, wanted: str) -> list[str]:
    sweep = Sweep(tables()[table], "mini", pathlib.Path("out"), pathlib.Path("data"), [0], [wanted])
    (unit,) = sweep.units()
    return [flag for flag in sweep._commands(unit)[0] if not flag.startswith("--workdir=")]

  assert command(name, row) == command(other, same)


def test_similarity_is_measured_where_the_td_loss_stands():
  """In ResNet-50 its last blocks are numbers 3, 5 and 2 of res3 to res5; the mini network has one a stage."""
  blocks = {2: 3, 3: 4, 4: 6, 5: 3}
  paths = [f"backbone/res{s}/block{b}/conv{c}/kernel" for s, n in blocks.items() for b in range(n) for c in (1, 2)]
  assert table_4.sites(paths) == "res3/block3/conv1$|res4/block5/conv1$|res5/block2/conv1$"
  mini = ["backbone/stem/kernel", *(f"backbone/res{s}/block0/conv1/kernel" for s in (4, 2, 3))]
  assert table_4.sites(mini) == "res2/block0/conv1$|res3/block0/conv1$|res4/block0/conv1$"


def test_training_accuracy_is_that_of_the_last_epoch(tmp_path):
  lines = [{"step": 10 * i, "top1": 0.1 * i, "epoch": 0.5 * i} for i in range(1, 5)]
  lines.append({"step": 40, "validation/top1": 0.9})
  (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
  assert table_4.training_accuracy(tmp_path) == pytest.approx(35)
  (tmp_path / "metrics.jsonl").write_text(json.dumps(lines[-1]) + "\n")
  assert np.isnan(table_4.training_accuracy(tmp_path))


def test_a_number_beside_the_accuracy_is_of_the_same_checkpoint(tmp_path):
  lines = [{"step": 4, "top1": 0.1}]
  lines += [{"step": step, "validation/loss/projection": loss} for step, loss in ((4, 0.25), (8, 0.5))]
  (tmp_path / "metrics.jsonl").write_text(
    "".join(json.dumps(line) + "\n" for line in [{"step": 4, "top1": 0.1}, *lines])
  )
  (tmp_path / "config.json").write_text(json.dumps({"data": {}}))
  (tmp_path / "evaluation").mkdir()
  (tmp_path / "evaluation" / "validation.json").write_text(json.dumps({"step": 4}))
  assert validated(tmp_path, "loss/projection") == 0.25
  assert last(tmp_path, "validation/loss/projection") == 0.5
  assert np.isnan(validated(tmp_path, "loss/other"))


def test_without_key_moments_the_share_that_is_kept_is_stated(tmp_path):
  """As on UCF101."""
  (tmp_path / "evaluation").mkdir()
  (tmp_path / "config.json").write_text(json.dumps({"data": {"validation_split": "test"}}))
  np.savez(tmp_path / "evaluation" / "test_scores.npz", attention=np.array([[0.9, 0, 0, 0.8], [0, 0, 0, 0]]))
  assert keyframes._hits(tmp_path, "before ") == {"before kept %": 37.5}


def test_accuracy_by_duration_is_drawn_of_each_run(tmp_path):
  """As in Fig. 10: a bar for each run and length, of the same clips."""
  records = [types.SimpleNamespace(key_frames=np.arange(n), num_frames=64) for n in (6, 6, 9, 9)]
  right = {"ours": np.array([True, True, False, True]), "arch": np.array([False, False, False, True])}
  drawn = []
  with mock.patch("matplotlib.axes.Axes.bar_label", lambda axes, bars, texts, **_: drawn.append(texts)):
    figures.draw_durations(tmp_path / "x.png", records, right)
  assert drawn == [["100", "50"], ["0", "50"]]
  assert (tmp_path / "x.png").exists()


def test_the_memory_of_a_step_is_that_of_its_arrays():
  """More than the activations of the last stage, of two clips, and less than a hundred times the clips."""
  run = Run(config_with("configs/ttsn.py:mini,tss=RR", TINY), ["left", "right"])
  assert 0.01 < table_7.step_megabytes(run) < 10


def test_classes_are_those_of_the_split_a_run_is_validated_on(tmp_path):
  run = tmp_path / "run"
  (run / "evaluation").mkdir(parents=True)
  (run / "config.json").write_text(json.dumps({"data": {"validation_split": "test"}}))
  (run / "class_names.txt").write_text("left\nright\n")
  labels, scores = np.array([0, 1]), np.eye(2)[[0, 0]]
  np.savez(run / "evaluation" / "test_scores.npz", index=np.arange(2), label=labels, scores=scores)
  matrix, names = classes.read_confusion(run, None)
  assert matrix.tolist() == [[1, 0], [1, 0]]
  assert names == ["left", "right"]
  with pytest.raises(ValueError, match="--split=validation first"):
    classes.read_confusion(run, "validation")


def test_accuracy_is_drawn_over_the_length_of_a_token(tmp_path):
  """Full trainings do not measure l: it is that of the paper's network."""
  at = [shown.Spread(x, x - 1, x + 1, 3) for x in (60.0, 70.0, 36.0)]
  measured = {"down 1": {"top-1 %": at[0]}, figure_3.SHORTEST: {"top-1 %": at[1], "l": at[2]}}
  drawn = []
  with mock.patch("matplotlib.axes.Axes.errorbar", lambda axes, x, y, **_: drawn.append((x, y))):
    figure_3.draw(tmp_path / "x.png", figure_3.TABLE, measured)
  assert drawn == [([36.0, 100_352], [70.0, 60.0])]
  assert (tmp_path / "x.png").exists()
  figure_3.draw(tmp_path / "y.png", figure_3.TABLE, {})
  assert not (tmp_path / "y.png").exists()


def test_times_are_written_in_the_columns_of_all_tables(tmp_path):
  found = table_8.measured({"TSN, 8 frames": (1.0, 2.5), "TTSN, 8 frames": (1.0, 1.5)})
  table_8.write_csv(tmp_path / "results.csv", found)
  with (tmp_path / "results.csv").open(newline="") as file:
    reader = csv.DictReader(file)
    lines = list(reader)
  assert reader.fieldnames == shown.HEADS
  own = [one for one in lines if one["row"] == "TSN, 8 frames"]
  assert [(one["status"], one["column"], one["number"]) for one in own] == [
    ("printed", "ms", "7.9"),
    ("measured", "ms", "3.5"),
    ("measured", "ms, loading", "1"),
    ("measured", "ms, network", "2.5"),
  ]
  assert all(one["date"] and one["machine"] and one["command"] for one in own[1:])
  assert {one["kind"] for one in lines if one["row"] in table_8.CITED} == {"cited"}
  assert "Kendall's tau of 'ms' here and 'ms' in print, 2 rows: -1.00." in shown.markdown(table_8.TABLE_8, found)
