"""ETT on and off, and which head of TSS learns which clips run backwards (TTSN, Tables VI and VII).

`python -m experiments.ttsn.tss --out=runs/tss` at mini scale on `synthetic_actions/order`. "TSS %" is the share of
right answers on the validation clips, each judged as it is and reversed, by one random channel: 50 is chance. A head by
frame cannot do better, whatever it learns. On this data nor can any head on a backbone that sees each frame alone
(`no_tsm`): the reverse of a clip is a clip of the twin class, so only features that saw time pass tell one from the
other. AA and AR reverse every clip: their heads answer "reversed" always.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from experiments.table import Row, define_flags, run_rows, top1
from vidjax.command import run_main
from vidjax.networks.ttsn import TTSN
from vidjax.run.opened import open_run

FRAME = "--config.model.tss_head=frame"
ROWS = [
  Row("neither", "configs/quickstart.py:tsm"),
  Row("ett", "configs/ttsn.py:mini,tss=off"),
  Row("tss_clip", "configs/ttsn.py:mini,ett=off"),
  Row("tss_frame", "configs/ttsn.py:mini,ett=off", [FRAME]),
  Row("ett+tss_clip", "configs/ttsn.py:mini"),
  Row("ett+tss_frame", "configs/ttsn.py:mini", [FRAME]),
  *(Row(f"ett+tss_{way}", "configs/ttsn.py:mini", [f"--config.model.tss={way}"]) for way in ("AA", "RA", "AR")),
  Row("ett+tss_clip_no_tsm", "configs/ttsn.py:mini", ["--config.model.backbone.inserts=()"]),
]


def reversal_accuracy(folder: pathlib.Path) -> float:
  """Share of the validation clips' two orders that the head of a run names rightly; of frames, for a head by frame."""
  run = open_run(folder)
  network, rng = run.network, np.random.default_rng(0)
  if not isinstance(network, TTSN) or network.tss is None:
    return float("nan")

  @jax.jit
  def judge(clips: jax.Array, channel: jax.Array) -> jax.Array:
    scores = network.apply(run.variables, run.normalise(clips), channel, method="reversal")
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


def main(argv: list[str]) -> None:
  """The command."""
  run_rows(ROWS, measure)


if __name__ == "__main__":
  define_flags(epochs=6.0)
  run_main(main)
