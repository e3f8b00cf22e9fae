"""Training batches with further clips whose labels are left out (TTSN's set U-dagger, Eq. 7)."""

import contextlib
import dataclasses
from collections.abc import Generator, Mapping

import numpy as np

from vidjax.data.loader import TrainLoader
from vidjax.data.records import Source


@dataclasses.dataclass(frozen=True)
class WithUnlabelled:
  """A loader of training batches; to each are added, behind its own clips, those of a batch of another loader.

  Their `mask` is False and their `label` 0, so that losses on labels, and the training accuracy, leave them out.
  `losses.Reversal(unlabelled=True)` counts them.

  Attributes:
    labelled: whose epochs count.
    unlabelled: of the further clips.
  """

  labelled: TrainLoader
  unlabelled: TrainLoader

  @property
  def batches_per_epoch(self) -> int:
    """Whole batches in an epoch of the clips with labels."""
    return self.labelled.batches_per_epoch

  @property
  def source(self) -> Source:
    """The records with labels."""
    return self.labelled.source

  def names(self, batch: Mapping[str, np.ndarray]) -> list[str]:
    """The videos of a batch by their ids; reads its `index` and `mask`."""
    index, mask = batch["index"], batch["mask"]
    return self.labelled.names({"index": index[mask]}) + self.unlabelled.names({"index": index[~mask]})

  def batches(self, start: int = 0) -> Generator[dict[str, np.ndarray], None, None]:
    """Yields `types.Batch` from batch `start` on, as `TrainLoader`."""
    with (
      contextlib.closing(self.labelled.batches(start)) as batches,
      contextlib.closing(self.unlabelled.batches(start)) as further,
    ):
      for batch, more in zip(batches, further, strict=True):
        hidden = {**more, "label": np.zeros_like(more["label"]), "mask": np.zeros_like(more["mask"])}
        yield {name: np.concatenate([x, hidden[name]]) for name, x in batch.items()}
