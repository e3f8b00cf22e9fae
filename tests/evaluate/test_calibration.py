"""Temperature scaling and the expected calibration error: cases by hand, what a fit recovers, the commands."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from tests.test_bad_input import command
from tests.tiny_run import make_run, write_data
from vidjax.errors import InputError
from vidjax.evaluate import calibration
from vidjax.evaluate.calibration import calibrate, corrected, fit_temperature, read_calibration, reliability
from vidjax.predict.predictor import make_predictor
from vidjax.types import Scores


def test_the_error_by_hand():
  """Four videos in two bins of [0, .5) and [.5, 1]: one is right at .4, two of three at a mean of .8."""
  scores = np.array([[0.4, 0.3, 0.3], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.05, 0.05, 0.9]])
  found = reliability(scores, np.array([0, 0, 1, 0]), bins=2)
  np.testing.assert_allclose(found.confidence, [0.4, 0.8])
  np.testing.assert_allclose(found.accuracy, [1, 2 / 3])
  assert found.error == pytest.approx((1 * 0.6 + 3 * (0.8 - 2 / 3)) / 4)


def test_labels_that_do_not_exclude_each_other_all_count():
  found = reliability(np.array([[0.1, 0.9]]), np.array([[True, False]]), bins=2)
  np.testing.assert_array_equal(found.count, [1, 1])
  assert found.error == pytest.approx(0.9)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_a_fit_finds_the_temperature_that_the_labels_were_drawn_with(truth, several):
  rng = np.random.default_rng(0)
  logits = 2 * rng.normal(size=(6000, 4))
  if several:
    label = rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits / truth))
    scores = 1 / (1 + np.exp(-logits))
  else:
    label = np.array([rng.choice(4, p=p) for p in softmax(logits / truth, -1)])
    scores = softmax(logits, -1)
  assert fit_temperature(scores, label) == pytest.approx(truth, rel=0.08)
  made, found = calibrate(Scores(np.arange(6000), label, scores, {}), list("abcd"), 7, "1x1")
  assert made.error_after < 0.02
  assert found["after"].error == made.error_after
  assert (made.error_before > 0.05) == (truth != 1.0)
  assert set(made.thresholds) == (set("abcd") if several else set())


@given(st.integers(0, 10**6), st.floats(0.1, 10))
def test_a_correction_keeps_the_order_and_is_that_of_the_logits(seed, temperature):
  logits = np.random.default_rng(seed).normal(size=(3, 5))
  scores = softmax(logits, -1)
  np.testing.assert_allclose(corrected(scores, temperature, False), softmax(logits / temperature, -1), rtol=1e-6)
  np.testing.assert_array_equal(corrected(scores, temperature, False).argmax(-1), logits.argmax(-1))
  sigmoids = 1 / (1 + np.exp(-logits))
  np.testing.assert_allclose(corrected(sigmoids, temperature, True), 1 / (1 + np.exp(-logits / temperature)), rtol=1e-6)
  assert np.isfinite(log_softmax(corrected(np.eye(3), temperature, False))).all()


def test_the_commands_fit_correct_and_refuse(tmp_path, monkeypatch, capsys):
  data = write_data(tmp_path / "data")
  run = make_run(tmp_path / "run", data)
  film = data / "films" / "3.mp4"

  def said(line, code=0):
    assert command(line) == code
    return "".join(capsys.readouterr())

  fit, predict = f"evaluate --workdir={run.workdir} --calibrate", f"predict --workdir={run.workdir} --calibrated {film}"
  assert "11 videos are too few for a temperature" in said(fit, 2)
  assert "make it by python -m vidjax.evaluate" in said(predict, 2)
  monkeypatch.setattr(calibration, "FEWEST", 10)
  line = said(fit)
  document = json.loads((run.workdir / "calibration.json").read_text())
  assert f"temperature {document['temperature']:.3g}: expected calibration error" in line
  assert document["manifest"]["videos"]["count"] == document["videos"] == 11
  assert cv2.imread(str(run.workdir / "evaluation" / "validation_reliability.png")).std() > 10
  plain, calibrated = make_predictor(run)(film), make_predictor(run, calibrated=True)(film)
  expected = corrected(plain.scores, document["temperature"], False)
  np.testing.assert_allclose(calibrated.scores, expected, rtol=1e-6)
  found = json.loads(said(f"{predict} --json"))
  assert found[0]["top5"][0]["score"] == pytest.approx(float(expected.max()), rel=1e-5)
  with pytest.raises(InputError, match=rf"step {run.step}, and this is step {run.step + 1}"):
    read_calibration(run.workdir, run.step + 1)
  assert "leave --split, --data and other runs out" in said(f"{fit} --split=train", 2)
  assert "leave --calibrate out" in said(f"{fit} --folds", 2)
  (run.workdir / "calibration.json").write_text("{}")
  assert "is damaged" in said(predict, 2)
