"""Busy-Quiet Net against its pathways (thesis Table 5.3): each trained alone, their averaged scores, and BQN.

`python -m experiments.thesis.table_5_3 --out=runs/table_5_3` at mini scale on `synthetic_actions/order`. Alone, a
pathway is the quickstart's network on the Busy (MBPM) or the Quiet (the first frame of three, smaller) of the clips.
"""

import pathlib

from absl import flags

from experiments.table import Row, define_flags, run, run_rows, top1, write_table
from vidjax.command import run_main
from vidjax.console import say

ROWS = (
  Row("quiet", "configs/bqn.py:mini_quiet"),
  Row("busy", "configs/bqn.py:mini_busy"),
  Row("bqn", "configs/bqn.py:mini"),
  Row("bqn_no_laterals", "configs/bqn.py:mini", ["--config.model.lateral=none"]),
)


def main(argv: list[str]) -> None:
  """The command."""
  results = run_rows(ROWS)
  out = pathlib.Path(flags.FLAGS.out)
  if {"quiet", "busy"} <= set(results):
    for seed in flags.FLAGS.seeds:
      pair = [f"--workdir={out / name}_{seed}" for name in ("quiet", "busy")]
      run(["-m", "vidjax.evaluate", *pair])
      results.setdefault("quiet+busy", []).append(top1(out / f"quiet_{seed}", "validation_ensemble"))
    say(write_table(out, results))


if __name__ == "__main__":
  define_flags(epochs=4.0)
  run_main(main)
