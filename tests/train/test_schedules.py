import json

import numpy as np
import pytest

from vidjax.errors import ConfigError
from vidjax.recipe import Settings, make_schedule
from vidjax.train import schedules


def test_golden_cosine_with_warm_up(shared_golden):
  """Linear from a tenth of the rate, then half a cosine: every point, at 100 steps an epoch."""
  cases = json.loads((shared_golden / "schedule_sampling_aug.json").read_text())["lr_schedule_cos_warmup"]
  assert len(cases) == 4
  for case in cases:
    schedule = schedules.cosine(case["lr"], case["epochs"], case["warmup_epochs"])(steps_per_epoch=100)
    for epoch, expected, _ in case["points_epochfloat_lr_mult1_lr_mult5"]:
      np.testing.assert_allclose(schedule(round(100 * epoch)), expected, rtol=1e-4, atol=1e-6 * case["lr"])


def test_a_warm_up_of_few_steps_leaves_one_to_fall():
  """Of two steps, .8 of the epoch is rounded to both."""
  schedule = schedules.cosine(1.0, epochs=1, warmup_epochs=0.8, warmup_from=0.5)(steps_per_epoch=2)
  assert [float(schedule(step)) for step in (0, 1, 2)] == [0.5, 1.0, 0.0]
  assert float(schedules.cosine(1.0, epochs=0.4, warmup_epochs=0.3)(steps_per_epoch=1)(0)) == 1.0


@pytest.mark.parametrize("warmup", [0, 1])
def test_cosine_ends_above_zero(warmup):
  schedule = schedules.cosine(0.2, epochs=3, warmup_epochs=warmup, warmup_from=0.0, end=0.1)(steps_per_epoch=10)
  rates = [float(schedule(step)) for step in (10 * warmup, 5 * (3 + warmup), 30)]
  assert rates == pytest.approx([0.2, 0.11, 0.02])
  assert float(schedule(0)) == pytest.approx(0.0 if warmup else 0.2)


def test_cosine_without_warm_up():
  schedule = schedules.cosine(0.2, epochs=2)(steps_per_epoch=5)
  expected = 0.1 * (1 + np.cos(np.pi * np.arange(11) / 10))
  np.testing.assert_allclose([schedule(i) for i in range(11)], expected, atol=1e-7)


def test_steps():
  schedule = schedules.steps(1.0, epochs=4, at=(2, 3), warmup_epochs=1, warmup_from=0.5)(steps_per_epoch=2)
  np.testing.assert_allclose([schedule(i) for i in range(8)], [0.5, 0.75, 1, 1, 0.1, 0.1, 0.01, 0.01], rtol=1e-6)
  schedule = schedules.steps(1.0, epochs=4, at=(1,), factor=0.5)(steps_per_epoch=3)
  np.testing.assert_allclose([schedule(i) for i in range(6)], [1, 1, 1, 0.5, 0.5, 0.5])


def test_constant():
  schedule = schedules.constant(1.0)(steps_per_epoch=3)
  assert schedule(0) == schedule(10**6) == 1


def test_golden_scale_scheduler(shared_golden):
  """Eq. 3.19 at all of 10,000 steps, as printed and as it is meant; step 0 counts as 1."""
  golden = np.load(shared_golden / "scale_scheduler.npz")
  gamma, lam, total = (golden[name].item() for name in ("gamma", "lam", "M"))
  for printed, name in ((True, "literal"), (False, "shifted")):
    schedule = schedules.Scale(gamma, lam, printed).over(total)
    np.testing.assert_allclose(schedule(golden["m"]), golden[name], atol=1e-6)
    assert schedule(0) == schedule(1) == 1
    rest = schedules.Scale(gamma, lam, printed, rest=True).over(total)
    np.testing.assert_allclose(rest(golden["m"]), 1 - golden[name], atol=1e-6)


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("gamma", [0.0, 0.001, 0.2, 1.0])
@pytest.mark.parametrize("total", [1, 2, 100, 100_000])
def test_the_scale_falls_from_one_over_lambda_to_zero(total, gamma, lam):
  m = np.unique(np.linspace(0, total, 1001).astype(int))
  schedule = schedules.Scale(gamma, lam).over(total)
  alpha = np.asarray(schedule(m))
  assert (np.diff(alpha) <= 1e-6).all()
  assert (alpha >= 0).all()
  assert (alpha <= 1).all()
  turn = gamma * total
  np.testing.assert_allclose(alpha[0], 1 if turn > 1 else lam, atol=1e-6)
  np.testing.assert_allclose(schedule(turn), lam, atol=1e-5)
  if total - turn > 1:
    np.testing.assert_allclose(alpha[-1], 0, atol=1e-6)
    assert schedule(2 * total) == alpha[-1]


@pytest.mark.parametrize(
  ("length", "message"),
  [
    (
      {"steps": 30},
      r"warmup_epochs=7: the whole training has 3 epochs: .*, or raise --config\.train\.steps; train\.steps=30",
    ),
    ({}, r"warmup_epochs=7: the whole training has 5 epochs: .*, or raise --config\.train\.epochs$"),
  ],
)
def test_a_warm_up_that_is_too_long_names_what_sets_the_length(length, message):
  config = {"schedule": {"make": "vidjax.train.schedules.cosine", "learning_rate": 0.1, "warmup_epochs": 7}}
  with pytest.raises(ConfigError, match=message):
    make_schedule(config, Settings(epochs=5, batch_size=1, **length), 10)


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (
      lambda: schedules.cosine(0.1, epochs=5, warmup_epochs=5),
      r"warmup_epochs=5: the whole training has 5 epochs: lower --config\.schedule\.warmup_epochs, or raise",
    ),
    (lambda: schedules.cosine(0.1, epochs=0), r"cosine\(epochs=0\): must be a finite number above 0"),
    (lambda: schedules.steps(0.1, epochs=5, at=(3, 6)), r"at=\(3, 6\).*training's, 5: set"),
    (lambda: schedules.steps(0.1, epochs=5, at=(1,), warmup_epochs=2), "warm-up's end"),
    (lambda: schedules.Scale(gamma=1.5), r"Scale\(gamma=1\.5\): must be a number from 0 to 1"),
    (lambda: schedules.Scale(lam=-0.1), "lam=-0.1"),
    (lambda: schedules.steps(0.1, epochs=5, at=(1,), factor=-1.0), "factor=-1.0.*finite number of at least 0"),
    (
      lambda: schedules.cosine(0.1, epochs=5, warmup_epochs=1, warmup_from=-1.0),
      "warmup_from=-1.0.*finite number of at least 0",
    ),
  ],
)
def test_impossible_schedules_are_named(make, message):
  with pytest.raises(ConfigError, match=message):
    make()


def test_drops_that_fall_on_one_step_all_count():
  schedule = schedules.steps(1.0, epochs=2, at=(1.0, 1.01))(10)
  np.testing.assert_allclose([schedule(9), schedule(11)], [1.0, 0.01], rtol=1e-6)
