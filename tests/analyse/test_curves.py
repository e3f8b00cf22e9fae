"""Curves of runs and schedules of configs: the numbers that are drawn."""

import json

import cv2
import numpy as np
import pytest

from tests.test_bad_input import command
from vidjax.analyse.curves import measured_twice, save_curves
from vidjax.analyse.schedule import scales, scheduled
from vidjax.command import config_with
from vidjax.errors import InputError
from vidjax.recipe import make_recipe
from vidjax.run.metrics import read_history, read_metrics
from vidjax.train.schedules import Scale

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
LINES = [
  {"step": 1, "loss": 2.0, "loss/a": 2.0, "top1": 0.25, "epoch": 0.1, "learning_rate": 0.1},
  {"step": 10, "loss": 1.0, "loss/a": 1.0, "top1": 0.5, "epoch": 1.0, "learning_rate": 0.05},
  {"step": 10, "validation/loss/a": 1.5, "validation/top1": 0.25, "validation/top5": 1.0},
  {"step": 20, "loss": 0.5, "loss/a": 0.5, "top1": 0.75, "epoch": 2.0, "learning_rate": 0.0},
  {"step": 20, "validation/loss/a": 0.75, "validation/top1": 0.75, "validation/top5": 1.0},
]


@pytest.fixture(name="panels")
def drawn_panels(monkeypatch):
  """Calls: the axes of the last picture that was drawn."""
  figures = []
  monkeypatch.setattr("vidjax.analyse.curves.save_figure", lambda figure, path: figures.append(figure))
  return lambda: [axes for axes in figures[-1].axes if axes.get_visible()]


def test_both_splits_of_all_runs_over_their_epochs(panels):
  assert measured_twice({"a": LINES}) == ["loss/a", "top1"]
  slower = [{**line, "step": 10 * line["step"]} for line in LINES]
  save_curves("x.png", {"a": LINES, "b_$": slower})
  loss, accuracy = panels()
  assert (loss.get_title(), accuracy.get_title()) == ("loss/a", "top1")
  for raw, mean, validation in (loss.lines[:3], loss.lines[3:]):
    np.testing.assert_allclose(raw.get_xydata(), [[0.1, 2], [1, 1], [2, 0.5]])
    np.testing.assert_allclose(mean.get_ydata(), [1.5, 3.5 / 3, 0.75])
    np.testing.assert_allclose(validation.get_xydata(), [[1, 1.5], [2, 0.75]])
    assert validation.get_linestyle() == "--"
  save_curves("x.png", {"a": LINES[:2]}, ["learning_rate"])
  (rate,) = panels()
  np.testing.assert_allclose(rate.lines[0].get_ydata(), [0.1, 0.05])
  with pytest.raises(InputError, match=r"the logs have no accuracy; they have .*, top1, top5"):
    save_curves("x.png", {"a": LINES}, ["accuracy"])
  with pytest.raises(InputError, match=r"the logs have no validation; they have epoch, .*, top1"):
    save_curves("x.png", {"a": LINES[:2]})


def test_a_log_is_read_to_its_last_whole_line(tmp_path):
  (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES) + '{"step": 30, "lo')
  assert read_metrics(tmp_path) == LINES
  assert read_metrics(tmp_path, 10) == LINES[:3]
  assert [numbers["top1"] for numbers in read_history(tmp_path)] == [0.25, 0.75]
  assert read_metrics(tmp_path / "none") == []


def test_schedules_are_those_of_training():
  """The scale scheduler of the projection, one minus it for the classification, and a cosine to 0."""
  recipe = make_recipe(config_with("configs/dan.py:mini,blend=scale", ["--config.train.epochs=4"]), ["a", "b"])
  steps, curves = scheduled(recipe, 50)
  assert steps[0] == 0
  assert steps[-1] == 200
  assert set(curves) == {"learning rate", "weight/projection", "weight/classification"}
  alpha = np.asarray([Scale().over(200)(step) for step in steps])
  np.testing.assert_allclose(curves["weight/projection"], alpha, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(curves["weight/classification"], 1 - alpha, rtol=1e-5, atol=1e-6)
  cosine = 0.1 * (1 + np.cos(np.pi * steps / 200)) / 2
  np.testing.assert_allclose(curves["learning rate"], cosine, rtol=1e-4, atol=1e-6)


def test_scale_schedulers_side_by_side():
  """Each falls to its lambda at its share of the training, and then to 0 (Eq. 3.19)."""
  steps = np.arange(1001)
  curves = scales([(0.1, 0.2), (0.5, 0.3)], steps)
  assert list(curves) == ["weight/gamma 0.1, lambda 0.2", "weight/gamma 0.5, lambda 0.3"]
  for (turn, lam), curve in zip(((100, 0.2), (500, 0.3)), curves.values(), strict=True):
    np.testing.assert_allclose(curve[[0, turn, 1000]], [1, lam, 0], atol=1e-3)


def test_the_commands(tmp_path, capsys):
  out = tmp_path / "new" / "schedule.png"
  assert command(f"analyse schedule --config=configs/dan.py:mini --out={out}") == 0
  assert cv2.imread(str(out)) is not None
  assert capsys.readouterr().out == f"wrote {out}\n"
  scales = "--scales=.1:.1,.5:.3"
  assert command(f"analyse schedule --config=configs/dan.py:mini,blend=scale {scales} --out={out}") == 0
  assert capsys.readouterr().out == f"wrote {out}\n"
  for wrong, message in (
    (f"schedule --config=configs/dan.py:mini --scales=.1 --out={out}", "--scales=.1: must be GAMMA:LAMBDA"),
    (f"schedule --config=configs/dan.py:mini --scales=.1:2 --out={out}", "each from 0 to 1"),
    (f"schedule --config=configs/rtsae_dscnn.py:mini --out={out}", "trains in phases"),
    (f"schedule a.mp4 --config=configs/dan.py:mini --out={out}", "schedule takes flags alone; got a.mp4"),
    (f"curves --out={out}", "--workdir=DIR is missing"),
    ("curves --workdir=a", "--out=FILE is missing"),
    (f"curves --workdir=a --out={tmp_path}/a.csv", "no ending of a picture"),
    ("draw", "attention or cost or curves or kernels or representations or schedule; got draw"),
  ):
    assert command(f"analyse {wrong}") == 2
    assert message in capsys.readouterr().err
