"""The convolutions' benchmark computes what it says, with and without PyTorch."""

import importlib.util
import json

import jax
import numpy as np
import pytest

from vidjax.benchmark import __main__ as command
from vidjax.benchmark import ops
from vidjax.benchmark.measure import Spread, provenance
from vidjax.benchmark.ops import CASES, Case, measure_ops

TINY = {
  "depthwise": Case((1, 3, 6, 6, 2), (3, 3, 3), stride=2),
  "pointwise": Case((2, 4, 4, 3), (1, 1), 5),
  "plain": Case((1, 7, 6, 2), (3, 3), 4, 2),
}


def test_cases_have_the_shapes_of_the_networks():
  shapes = {name: (case.kernel, case.strides, case.padding) for name, case in CASES.items()}
  assert shapes["X3D 3x3x3"] == ((3, 3, 3, 1, 54), (1, 1, 1), ((1, 1),) * 3)
  assert shapes["X3D 5x1x1"] == ((5, 1, 1, 1, 24), (1, 1, 1), ((2, 2), (0, 0), (0, 0)))
  assert shapes["ResNet 7x7, stride 2"] == ((7, 7, 3, 64), (2, 2), ((3, 3), (3, 3)))
  assert TINY["depthwise"].strides == (1, 2, 2)


@pytest.mark.parametrize("case", TINY.values(), ids=TINY)
def test_candidates_compute_the_same(case):
  x, kernel, g = ops._draw(case)
  pairs = ops._jax(case, x, kernel, g)
  for ours, theirs in zip(pairs["vidjax"], pairs["lax"], strict=True):
    for one, other in zip(jax.tree.leaves(ours()), jax.tree.leaves(theirs()), strict=True):
      np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
  y, dx, dkernel = pairs["vidjax"][1]()
  assert (y.shape, dx.shape, dkernel.shape) == (g.shape, x.shape, kernel.shape)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch, which is no dependency")
@pytest.mark.parametrize("case", TINY.values(), ids=TINY)
def test_torch_computes_the_same(case):
  arrays = ops._draw(case)
  _, dx, dkernel = ops._jax(case, *arrays)["vidjax"][1]()
  for forward, backward in ops._torch(case, *arrays).values():
    assert forward() is None
    theirs = backward()
    np.testing.assert_allclose(dx, np.moveaxis(theirs[0].numpy(), 1, -1), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(dkernel, np.moveaxis(theirs[1].numpy(), (0, 1), (-1, -2)), rtol=1e-3, atol=1e-3)


def test_every_case_is_timed_both_ways(monkeypatch, capsys):
  monkeypatch.setattr(ops.importlib.util, "find_spec", lambda name: None)
  results = measure_ops(2, {"plain": TINY["plain"]})
  assert list(results) == ["plain, forward", "plain, forward + backward"]
  assert capsys.readouterr().err.splitlines() == [f"measuring: {name}" for name in results]
  for times in results.values():
    assert list(times) == ["vidjax", "lax"]
    assert all(0 < spread.low <= spread.median <= spread.high for spread in times.values())


def test_what_takes_long_runs_once_more_and_not_backward(monkeypatch):
  calls = []
  monkeypatch.setattr(ops, "_seconds", lambda run, often: calls.append((run(), often)) or run())
  times = ops._race({"fast": lambda: 0.004, "slow": lambda: 3.0}, 3)
  assert times == {"fast": Spread(4.0, 4.0, 4.0), "slow": Spread(3000.0, 3000.0, 3000.0)}
  assert calls[4:] == [(0.004, 5)] * 6  # every other one is not counted
  pairs = {"vidjax": (lambda: 0.1, lambda: 0.2), "lax": (lambda: 3.0, lambda: 9.0)}
  monkeypatch.setattr(ops, "_jax", lambda *arguments: pairs)
  monkeypatch.setattr(ops.importlib.util, "find_spec", lambda name: None)
  forward, both = measure_ops(1, {"plain": TINY["plain"]}).values()
  assert (list(forward), list(both)) == (["vidjax", "lax"], ["vidjax"])


def test_the_table_shows_ratios(capsys, monkeypatch):
  monkeypatch.setenv("COLUMNS", "160")
  times = {"vidjax": Spread.of([2.0]), "lax": Spread.of([5.0])}
  command.show_ratios("ops", {"plain, forward": times}, provenance())
  line = next(line for line in capsys.readouterr().out.splitlines() if "plain" in line)
  assert [cell.strip() for cell in line.strip("│ ").split("│")] == ["plain, forward", "2", "2.50"]
  plain = json.loads(json.dumps(command._plain({"plain, forward": times})))
  assert plain["plain, forward"]["lax"] == {"median": 5.0, "low": 5.0, "high": 5.0}
