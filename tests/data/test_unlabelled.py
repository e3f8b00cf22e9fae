import itertools

import numpy as np
import pytest

from tests.data.test_loader import record
from vidjax.data.loader import train_loader
from vidjax.data.records import Records
from vidjax.data.sampling import UniformSegments
from vidjax.data.unlabelled import WithUnlabelled
from vidjax.errors import ConfigError
from vidjax.run.opened import Run


def loader(label, count, size):
  return train_loader(Records([record(label, 20)] * count), UniformSegments(2), (), size, 0, num_threads=0)


def test_further_clips_come_behind_without_label_and_mask():
  both = WithUnlabelled(loader(2, 8, 4), loader(3, 6, 2))
  assert (both.batches_per_epoch, len(both.source)) == (2, 8)
  batches = list(itertools.islice(both.batches(), 3))
  plain = list(itertools.islice(loader(2, 8, 4).batches(), 3))
  for batch, expected in zip(batches, plain, strict=True):
    assert batch["label"].tolist() == [2] * 4 + [0] * 2
    assert batch["mask"].tolist() == [True] * 4 + [False] * 2
    np.testing.assert_array_equal(batch["video"][:4], expected["video"])
    assert all(len(x) == 6 for x in batch.values())
  again = next(both.batches(2))
  np.testing.assert_array_equal(again["video"], batches[2]["video"])
  np.testing.assert_array_equal(again["index"], batches[2]["index"])


MIXUP = {"make": "vidjax.apply.device_augment.Mixup"}


@pytest.mark.parametrize("mixing", [MIXUP, {"make": "vidjax.apply.device_augment.OneOf", "transforms": (MIXUP,)}])
def test_mixing_labels_with_none_is_refused(mixing):
  from configs import quickstart
  from vidjax.command import read_config

  config = quickstart.get_config()
  config.data.unlabelled = 4
  config.device_transforms = (mixing,)
  run = Run(read_config(config), ["a"])
  run.train_loader = lambda _: None  # pyright: ignore
  with pytest.raises(ConfigError, match=r"data.unlabelled=4: Mixup would mix"):
    run.training_loader(8)
