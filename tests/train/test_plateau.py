"""A rate that falls when the validation stands still: by hand, and in real runs, killed and resumed."""

import json
import signal

import numpy as np
import pytest

from tests.train.test_resume import assert_bit_equal, kill_after, last_state
from vidjax.errors import ConfigError
from vidjax.train.plateau import Plateau


def test_it_falls_after_patience_without_a_gain():
  rule = Plateau(0.1, factor=0.5, patience=2, gain=0.01)
  numbers = [0.1, 0.3, 0.305, 0.31, 0.2, 0.32, 0.1, 0.1, 0.1]
  scales = [rule.scale([{"top1": x} for x in numbers[:k]], "top1") for k in range(len(numbers) + 1)]
  # .305 and .31 gain too little over .3; then .32 does, and two more falls would take four validations
  assert scales == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
  loss = Plateau(0.1, factor=0.5, patience=1, metric="-loss/x")
  assert loss.scale([{"loss/x": x} for x in (3.0, 2.0, 2.0, 1.0, 5.0)], "top1") == 0.25
  with pytest.raises(ConfigError, match="a validation has top1"):
    loss.scale([{"top1": 1.0}], "top1")
  with pytest.raises(ConfigError, match="patience"):
    Plateau(0.1, patience=0)


CONFIG = """
from configs import quickstart

def get_config():
  c = quickstart.get_config()
  c.schedule = {"make": "vidjax.train.plateau.Plateau", "learning_rate": 0.01, "factor": 0.5, "patience": 1}
  c.schedule.gain = 2.0  # which no validation has after the first
  c.train.evaluate_every = 1.0
  return c
"""


@pytest.mark.slow
def test_it_is_exact_on_resume(train, command, environment, tmp_path):
  (tmp_path / "plateau.py").write_text(CONFIG)
  options = {"config": str(tmp_path / "plateau.py")}
  whole, cut = tmp_path / "whole", tmp_path / "cut"
  train(whole, "--config.train.epochs=4", **options)
  lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
  rates = {line["step"]: line["learning_rate"] for line in lines if "learning_rate" in line}
  expected = [0.01 * 0.5 ** max((step - 1) // 4 - 1, 0) for step in rates]
  np.testing.assert_allclose(list(rates.values()), expected, rtol=1e-6)
  assert min(expected) == 0.0025
  assert last_state(whole)[1]["opt_state"][1]["factor"] == np.float32(0.125)  # the last validation counts, too
  for step in (9, 13):
    code, output = kill_after(command(cut, "--config.train.epochs=4", **options), environment, cut, step)
    assert code == -signal.SIGKILL, output
  log = cut / "metrics.jsonl"
  lines = log.read_text()
  log.write_text("".join(line for line in lines.splitlines(keepends=True) if '"validation/' not in line))
  lost = train(cut, "--config.train.epochs=4", code=2, **options)
  assert "metrics.jsonl lacks the validation of step 4, which the learning rate or train.stop follow from" in lost
  log.write_text(lines)
  train(cut, "--config.train.epochs=4", **options)
  assert_bit_equal(last_state(cut)[1], last_state(whole)[1])
