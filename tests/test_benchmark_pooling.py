"""What `python -m vidjax.benchmark pooling` measures, at tiny sizes, against counts by hand."""

import pytest

from vidjax.backbones.resnet import MiniResNet
from vidjax.benchmark import __main__ as command
from vidjax.benchmark import pooling
from vidjax.benchmark.measure import provenance
from vidjax.networks.deep_residual import DeepResidual
from vidjax.networks.pooling import LSTMClassifier, TransformerClassifier
from vidjax.networks.probe import Probe

F, K = 8, 3


@pytest.fixture
def results(monkeypatch):
  small = {
    "mean pooling": Probe(K),
    "deep residual": DeepResidual(K, (4, 2), clusters=5),
    "LSTM": LSTMClassifier(K, (4,)),
    "transformer": TransformerClassifier(K, 4, depth=1, heads=2),
  }
  monkeypatch.setattr(pooling, "POOLINGS", small)
  return pooling.measure_pooling(1, (8, 16), F, MiniResNet((8, 8, 8, F)), 16)


def test_the_numbers_are_those_counted_by_hand(results, capsys):
  assert list(results) == [f"{length} frames, {name}" for length in (8, 16) for name in pooling.POOLINGS]
  macs = {name: 1e6 * row["MMAC"] for name, row in results.items()}
  for length, windows in ((8, 1), (16, 3)):
    assert macs[f"{length} frames, mean pooling"] == pytest.approx(F * K)
    assert macs[f"{length} frames, LSTM"] == pytest.approx(length * 16 * (F + 4) + 4 * K)
    first = length * 16 * F + windows * 8 * 16 * 4  # the inputs of a frame once, its hidden states in each window
    second = windows * 8 * (8 * 4 + 8 * 2)
    rest = windows * 5 * 2 + 10 * K  # sums by cluster, the classifier
    assert macs[f"{length} frames, deep residual"] == pytest.approx(first + second + rest)
  grown = macs["16 frames, transformer"] - 2 * macs["8 frames, transformer"]
  assert grown == pytest.approx(2 * 4 * (16**2 - 2 * 8**2) - 4 * K)  # attention alone grows by the square
  for length in (8, 16):
    rows = {name: results[f"{length} frames, {name}"] for name in pooling.POOLINGS}
    backbone = 1e3 * rows["LSTM"]["GMAC with backbone"] - rows["LSTM"]["MMAC"]
    for row in rows.values():
      assert 1e3 * row["GMAC with backbone"] == pytest.approx(backbone + row["MMAC"])
      assert row["ms with backbone"].median > row["ms"].median > 0
    assert rows["mean pooling"]["/ with mean pooling"] == rows["mean pooling"]["ms / with mean pooling"].median == 1
    assert 1 < rows["deep residual"]["/ with mean pooling"] < rows["deep residual"]["/ mean pooling"]
  command.show_columns("pooling", results, provenance())
  assert "16 frames, deep residual" in capsys.readouterr().out
