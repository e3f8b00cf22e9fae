"""ETT and TSS, alone and together (TTSN, Table VI), and which head of TSS learns which clips run backwards.

Full trainings average three splits, as in Table II, whose 80.2 is printed here, too [I]; they state accuracies alone.
"TSS %" is the share of right answers on the validation clips, each judged as it is and reversed, by one random channel;
50 is chance. A head by frame cannot do better, whatever it learns. On this data nor can any head on a backbone that
sees each frame alone ("no TSM"): the reverse of a clip is a clip of the twin class, so only features that saw time pass
tell one from the other.
"""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.tables.command import run_table
from experiments.tables.measures import top1
from experiments.tables.row import Row, Table, Training
from experiments.thesis.full import FOLDS
from vidjax.networks.ttsn import TTSN
from vidjax.run.opened import open_run

FRAME = "--config.model.tss_head=frame"


def reversal_accuracy(folder: pathlib.Path) -> float:
  """Share of the validation clips' two orders that the head of a run names rightly; of frames, for a head by frame."""
  run = open_run(folder)
  network, rng = run.network, np.random.default_rng(0)
  if not isinstance(network, TTSN) or network.tss is None:
    return float("nan")

  @jax.jit
  def judge(clips: jax.Array, channel: jax.Array) -> jax.Array:
    scores: Any = network.apply(run.variables, run.normalise(clips), channel, method="reversal")
    answers = [jnp.argmax(x, -1).reshape(len(clips), -1) for x in scores]
    return jnp.stack([(answers[0] == 0).mean(1), (answers[1] == 1).mean(1)])

  right = []
  for batch in run.eval_loader(batch_size=32).batches():
    channel = rng.integers(network.backbone.widths[-1], size=len(batch["mask"]))
    right.append(np.asarray(judge(batch["video"][:, 0], channel))[:, batch["mask"]])
  return float(np.concatenate(right, axis=1).mean())


def measure(folder: pathlib.Path) -> dict[str, float]:
  """Accuracy of the classes and of TSS, in per cent."""
  return {**top1(folder), "TSS %": 100 * reversal_accuracy(folder)}


def mini(config: str, *flags: str) -> dict[str, Training]:
  """A mini training.

  Args:
    config: argument of `configs/ttsn.py`.
    *flags: that change it.
  """
  return {"": Training(f"configs/ttsn.py:{config}", flags)}


def full(options: str) -> dict[str, Training]:
  """16 frames on the three splits of HMDB51, from Kinetics.

  Args:
    options: of `configs/ttsn.py`.
  """
  return {"HMDB51": Training(f"configs/ttsn.py:hmdb51,pretrain=kinetics,frames=16,{options}", folds=FOLDS)}


TABLE = Table(
  "TTSN Table VI",
  (
    Row("neither", kind="ours", mini={"": Training("configs/quickstart.py:tsm")}),
    Row("ETT", {"HMDB51 top-1": 79.3}, mini=mini("mini,tss=off"), full=full("tss=off")),
    Row("TSS", {"HMDB51 top-1": 79.3}, mini=mini("mini,ett=off"), full=full("ett=off")),
    Row("ETT + TSS", {"HMDB51 top-1": 80.2}, mini=mini("mini"), full=full("tss=RR")),
    Row("TSS, head by frame", kind="ours", mini=mini("mini,ett=off", FRAME), note="the head of the authors' code"),
    Row("ETT + TSS, head by frame", kind="ours", mini=mini("mini", FRAME)),
    Row("ETT + TSS, no TSM", kind="ours", mini=mini("mini", "--config.model.backbone.inserts=()")),
  ),
  measure,
  pairs=(("HMDB51 top-1", "top-1 %"),),
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
