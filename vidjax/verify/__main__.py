"""Derives again what is published of vidjax, on your machine.

`python -m vidjax.verify` lists what there is. `python -m vidjax.verify parity` runs every network of which released
PyTorch code exists on weights and a clip made by a formula, and compares its logits with those of that code; a name,
as in `python -m vidjax.verify tsm_resnet50`, runs one. `python -m vidjax.verify "TABLE: ROW" --seed=0 --out=DIR` trains
a row of `experiments/results/results.csv` by its own command, where its data is, and prints both numbers. The exit code
is 1 where one does not agree: they are further apart than the seeds of that row, or not measured on the same.

Rows are listed whose number is the top-1 accuracy of one training. Other numbers, averages of folds and averaged scores
take the command of their table, `python -m experiments.PAPER.TABLE --scale=mini --rows=ROW --seeds=0 --out=DIR`.
"""

import pathlib

from absl import flags

from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.verify import published
from vidjax.verify.parity import NETWORKS, TOLERANCE, check

DISAGREES = 1


def define_flags() -> None:
  """The command's flags."""
  flags.FLAGS.set_gnu_getopt(True)
  flags.DEFINE_string("results", str(published.RESULTS), "File of the published numbers.")
  flags.DEFINE_string("seed", "0", "A row's seed.")
  flags.DEFINE_string("out", None, "Folder to train a row in.")
  flags.DEFINE_string("data_dir", "data", "Where data sets lie.")


def main(argv: list[str]) -> None:
  """The command."""
  match argv[1:]:
    case []:
      _list()
    case ["parity"]:
      _parity(list(NETWORKS))
    case [name] if name in NETWORKS:
      _parity([name])
    case [name]:
      _row(name)
    case ["parity", *names] if set(names) <= set(NETWORKS):
      _parity(names)
    case ["parity", *names]:
      raise InputError(
        f"parity: there is no {' or '.join(sorted({*names} - {*NETWORKS}))}: choose {', '.join(NETWORKS)}"
      )
    case more:
      raise InputError(f"one name at a time: got {' '.join(more)}; a name with spaces goes in quotes")


def _list() -> None:
  say(f"parity: {', '.join(NETWORKS)}")
  path = pathlib.Path(flags.FLAGS.results)
  if not path.is_file():
    say(f"{path} is not here: no published training is listed")
    return
  for name in dict.fromkeys(one.name for one in published.read(path)):
    say(name)
  say("Other numbers, folds and averaged scores: python -m experiments.PAPER.TABLE --scale=mini --rows=ROW --out=DIR")


def _parity(names: list[str]) -> None:
  failed = []
  for name in names:
    found = check(name)
    end = "" if found.agrees else ": DOES NOT AGREE"
    say(
      f"{name}: logits differ by at most {found.error:.1e} of the largest (allowed {TOLERANCE:.0e}; float32 and float64"
      f" of the released code by {found.noise:.1e}), {found.arrays} arrays, {found.source}{end}"
    )
    failed += [] if found.agrees else [name]
  if failed:
    raise SystemExit(DISAGREES)


def _row(name: str) -> None:
  values = flags.FLAGS
  path = pathlib.Path(values.results)
  if ":" not in name:
    choices = f"parity, {', '.join(NETWORKS)}, or 'TABLE: ROW' (python -m vidjax.verify lists the rows)"
    raise InputError(f"there is no network {name!r}: choose {choices}")
  numbers = published.read(path)
  if name not in {one.name for one in numbers}:
    raise InputError(f"there is no {name!r}: python -m vidjax.verify lists the names")
  chosen = [one for one in numbers if one.name == name and one.seed == values.seed]
  if not chosen:
    seeds = ", ".join(one.seed for one in numbers if one.name == name)
    raise InputError(f"--seed={values.seed}: {name} was trained with {seeds}")
  if not values.out:
    raise InputError("--out=DIR is needed: a folder to train in")
  one = chosen[0]
  number, manifest = published.again(one, pathlib.Path(values.out), values.data_dir)
  spread = published.spread(numbers, name)
  changed = published.differences(path.with_name("manifests.json"), one.manifest, manifest)
  say(f"{name}, seed {one.seed}: {one.number:.2f}% published (commit {one.commit}), {number:.2f}% here")
  if spread is None:
    say("one seed of that row is published: how far its seeds are apart is not known, so only the data is compared")
  else:
    say(f"the seeds of that row are {spread:.2f} points apart; machines differ in rounding, so that trainings do")
  if changed:
    say(f"not measured on the same: {', '.join(changed)} differ from the published manifest")
  apart = spread is not None and abs(number - one.number) > max(spread, published.ROUNDING)
  if apart or changed:
    say("DOES NOT AGREE")
    raise SystemExit(DISAGREES)


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
