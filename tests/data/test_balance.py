"""Balanced epochs, weights by frequency, and parts of a training split that keep the shares of the classes."""

import itertools
import json
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from tests.data.test_loader import assert_same, record, take
from vidjax.data import balance
from vidjax.data.balance import Balanced
from vidjax.data.dataset import open_dataset
from vidjax.data.loader import train_loader
from vidjax.data.records import Records
from vidjax.data.sampling import UniformSegments
from vidjax.errors import ConfigError, InputError
from vidjax.losses.classification import CrossEntropy
from vidjax.run.opened import Run
from vidjax.types import Output

LABELS = np.array([0] * 50 + [1] * 8 + [2] * 2)
EACH = [[label] for label in LABELS.tolist()]


def test_an_epoch_has_every_class_equally_often():
  order = Balanced(LABELS)
  epochs = [order(60, 3, epoch) for epoch in range(3)]
  for numbers in epochs:
    assert np.bincount(LABELS[numbers]).tolist() == [20, 20, 20]
    counts = np.bincount(numbers, minlength=60)
    assert counts[:50].max() == 1  # none twice before all of its class came
    assert set(counts[50:58]) == {2, 3}
    assert set(counts[58:]) == {10}
  assert epochs[0].tolist() != epochs[1].tolist()
  assert len({*np.concatenate(epochs)} & {*range(50)}) > 35
  np.testing.assert_array_equal(pickle.loads(pickle.dumps(order))(60, 3, 1), epochs[1])  # as in a worker process
  assert sorted(np.bincount(LABELS[order(61, 3, 0)]).tolist()) == [20, 20, 21]


@pytest.mark.parametrize("num_processes", [0, 2])
def test_balanced_batches_depend_on_seed_and_number_alone(num_processes):
  source = [record(3 * i + (0, 0, 0, 1, 2)[i % 5]) for i in range(10)]  # its label is the number modulo 3
  labels = np.array([0, 0, 0, 1, 2] * 2)

  def loader(**rest):
    return train_loader(Records(source), UniformSegments(2), (), 4, 7, order=Balanced(labels), **rest)

  wanted = take(loader(num_threads=0), 6)
  assert_same(take(loader(num_threads=2, num_processes=num_processes), 3, start=3), wanted[3:])
  shares = [take(loader(num_threads=0, process_index=i, process_count=2), 6) for i in (0, 1)]
  assert_same([{k: np.concatenate([a[k], b[k]]) for k in a} for a, b in zip(*shares, strict=True)], wanted)
  seen = np.concatenate([batch["label"] for batch in wanted[:5]])
  assert max(np.bincount(seen)) - min(np.bincount(seen)) <= 2  # two epochs of 10


def test_weights_are_inverse_to_the_counts_and_have_a_mean_of_one():
  weights = balance.weights(np.append(LABELS, -1), 4)
  np.testing.assert_allclose(np.multiply(weights[:3], [50, 8, 2]), 20)
  assert weights[3] == 1
  np.testing.assert_allclose(np.mean(np.take(weights, LABELS)), 1)


def test_the_loss_weighs_classes():
  logits, label = jnp.array([[2.0, 0.0], [1.0, -1.0]]), jnp.array([0, 1])
  batch = {"label": label, "mask": jnp.array([True, True])}
  output = Output(logits, logits, {})
  alone = [{"label": label, "mask": jnp.arange(2) == i} for i in range(2)]
  each = [float(CrossEntropy(label_smoothing=0.1)(output, one)["classification"]) for one in alone]
  loss = CrossEntropy(label_smoothing=0.1, weights=(0.5, 3.0))(output, batch)["classification"]
  np.testing.assert_allclose(loss, (0.5 * each[0] + 3 * each[1]) / 2, rtol=1e-6)
  mixed = {**batch, "target": jnp.array([[0.25, 0.75], [1.0, 0.0]])}
  plain = CrossEntropy()(Output(logits[:1], logits[:1], {}), {k: v[:1] for k, v in mixed.items()})["classification"]
  first = {**mixed, "mask": jnp.array([True, False])}
  weighed = CrossEntropy(weights=(0.5, 3.0))(output, first)["classification"]
  np.testing.assert_allclose(weighed, plain * (0.25 * 0.5 + 0.75 * 3), rtol=1e-6)
  for wrong, words in (("frequency", "which a run counts"), ((1.0,), "not 1")):
    with pytest.raises(ConfigError, match=words):
      CrossEntropy(weights=wrong)(output, batch)


def test_parts_are_stratified_nested_and_of_their_seed():
  parts = [balance.part(EACH, fraction, 5) for fraction in (0.01, 0.1, 0.25, 0.5, 1.0)]
  for smaller, larger in itertools.pairwise(parts):
    assert set(smaller) < set(larger)
  assert np.bincount(LABELS[list(parts[0])]).tolist() == [1, 1, 1]
  assert np.bincount(LABELS[list(parts[2])]).tolist() == [13, 2, 1]
  assert parts[-1] == tuple(range(60))
  assert balance.part(EACH, 0.1, 6) != parts[1] == balance.part(EACH, 0.1, 5)
  several = [[0, 1] if i % 5 == 0 else [0] for i in range(20)]
  assert [len(several[i]) for i in balance.part(several, 0.25, 0)].count(2) == 1


def run_of(data, **values) -> Run:
  config = default.get_config()
  config.data.name, config.data.dir = "folder/tiny", str(data)
  config.update({key: value for key, value in values.items() if key == "losses"})
  config.data.update({key: value for key, value in values.items() if key != "losses"})
  return Run(config.to_dict())


def test_a_run_reads_its_part_in_order_and_weighs_by_it(tiny_data):
  whole = run_of(tiny_data).train_loader(2)
  loss = ({"make": "vidjax.losses.classification.CrossEntropy", "weights": "frequency"},)
  run = run_of(tiny_data, fraction=0.4, balanced=True, losses=loss)
  loader = run.train_loader(2)
  assert (len(whole.source), len(loader.source), loader.batches_per_epoch) == (18, 8, 4)
  assert {bytes(loader.source[i]) for i in range(8)} < {bytes(whole.source[i]) for i in range(18)}
  assert run.recipe.objectives[0].weights == (1.0, 1.0)
  assert len(run.eval_loader("validation", 2)._dataset) == 3
  kept = list((tiny_data / "folder" / "tiny").glob("*/labels_*.json"))
  assert len(kept) == 1
  assert run_of(tiny_data, fraction=0.4).training_split.source.numbers == run.training_split.numbers  # from that file
  stored = json.loads(kept[0].read_text())
  for text in ("[[0]", json.dumps({**stored, "labels": [[0]] * 18})):  # as by a full disk, or changed: read again
    kept[0].write_text(text)
    assert open_dataset("folder/tiny", str(tiny_data)).labels("train") == [[0], [1]] * 9
  assert run_of(tiny_data, fraction=0.4).training_split.source.numbers == run.training_split.numbers
  assert open_dataset("folder/tiny", str(tiny_data)).labels("train") == [[0], [1]] * 9


def test_damaged_records_are_no_class():
  labels: list[list[int]] = [[0]] * 20 + [[1]] * 20 + [[]]
  order = balance.Balanced(balance.one_each(labels, "data.balanced"))(41, 0, 0)
  assert len(order) == 41
  assert 40 not in order
  assert 40 not in balance.part(labels, 0.5, 0)
  assert len(balance.part(labels, 0.5, 0)) == 20
  assert len(balance.part([[-1]] * 10, 0.5, 0)) == 5  # of a split without labels


def test_what_cannot_be_balanced():
  with pytest.raises(InputError, match=r"data\.balanced takes one class a video"):
    balance.one_each([[0], [1, 2]], "data.balanced")
  with pytest.raises(InputError, match="no labels"):
    balance.one_each([[], [-1]], "data.balanced")
