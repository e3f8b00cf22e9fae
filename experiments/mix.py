"""Trains mixes of inputs, backbones, plug-ins and losses at mini scale, and ranks them.

`python -m experiments.mix --out=runs/mix` trains the mixes below, none of which is published, and a few that are, to
compare with. Other ones are a product, of which those that cannot be are left out and named:

  python -m experiments.mix --out=runs/mine --inputs=rgb,mbpm --backbones=resnet,x3d --plugins=none,tim+pem

The ranking says what each mix costs, and how many times the plain network: ETT makes MobileNet nine times as large. All
else is as in the tables: `--seeds`, `--processes`, `--shard`, resume. `--scale=cost` counts the mixes alone.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Mapping, Sequence

from absl import flags

from configs import _vit
from configs.inputs import INPUTS
from configs.mix import OPTIONS, get_config
from experiments.tables.command import define_flags, given_sweep, out_folder, report_failed, say_text, write
from experiments.tables.counted import count
from experiments.tables.row import Cost, Row, Table, Training
from experiments.tables.shown import Spread, gather
from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.files import write_text

MIXES = (  # input, backbone, plug-ins, losses, blend
  ("rgb", "resnet", "tim+nl", "diversity", "weighted"),
  ("rgb", "resnet", "tsm+rnl", "diversity", "weighted"),
  ("rgb", "resnet", "tim+pem+rnl", "diversity", "weighted"),
  ("rgb", "resnet", "tsm+cpa+ett", "", "weighted"),
  ("rgb", "resnet", "tim+se", "reversal", "weighted"),
  ("rgb", "resnet", "tim+pem+gc", "diversity+reversal", "weighted"),
  ("rgb", "resnet", "tim", "diversity+reversal", "mgda"),
  ("rgb", "resnet", "tim", "diversity+reversal", "pcgrad"),
  ("rgb", "resnet", "tim", "diversity+reversal", "cagrad"),
  ("rgb", "resnet", "tim", "diversity+reversal", "uncertainty"),
  ("rgb", "x3d", "tim", "diversity", "weighted"),
  ("rgb", "x3d", "pem+rnl", "", "weighted"),
  ("rgb", "x3d", "cpa", "", "weighted"),
  ("rgb", "mobilenet", "tim+pem", "diversity", "weighted"),
  ("rgb", "mobilenet", "tsm+rnl", "", "weighted"),
  ("rgb", "tdn", "rnl", "", "weighted"),
  ("rgb", "tdn", "tim", "diversity", "weighted"),
  ("rgb_difference", "resnet", "tim+pem", "diversity", "weighted"),
  ("rgb_difference", "x3d", "rnl", "", "weighted"),
  ("dynamic_image", "resnet", "tim+pem", "diversity", "weighted"),
  ("mbpm", "resnet", "tim+pem", "diversity", "weighted"),
  ("mbpm", "resnet", "tsm+se+rnl", "", "weighted"),
  ("mbpm", "x3d", "cpa", "", "weighted"),
  ("mbpm", "mobilenet", "tim", "diversity", "weighted"),
  ("pwtp", "resnet", "tim+pem", "projection+diversity", "weighted"),
  ("pwtp", "resnet", "tim+pem", "projection+diversity", "mgda"),
  ("pwtp", "resnet", "tsm+rnl", "projection", "mgda"),
  ("pwtp", "x3d", "tim", "projection+reversal", "mgda"),
  ("tsp", "resnet", "tim", "projection+diversity", "mgda"),
  ("tsp", "mobilenet", "tsm+gc", "projection", "weighted"),
  ("persistent_appearance", "resnet", "tim+pem", "diversity", "weighted"),
)
PUBLISHED = (
  ("rgb", "resnet", "", "", "weighted"),
  ("rgb", "resnet", "tsm", "", "weighted"),
  ("rgb", "resnet", "pem+tim", "diversity", "weighted"),
  ("rgb", "x3d", "", "", "weighted"),
  ("rgb", "tdn", "ett", "reversal", "weighted"),
)
FLAGS = {"": "inputs", "backbone": "backbones", "plugins": "plugins", "losses": "losses", "blend": "blend"}
"""The flags by the options of `configs/mix.py`."""
COSTS = ("params k", "MFLOPs", "MMAC executed", "times the plain params", "times the plain MFLOPs")
NOTE = (
  "Counted for a clip as the papers do, but for what is executed. A plain network has the input and the backbone of the"
  " mix, no plug-ins, and classification alone. All train as long, by one recipe, on `synthetic_actions/order`; the ViT"
  " has its own. A clip has 8 steps of what the backbone reads, with TDN 4: one frame of plain RGB, 3 of other inputs,"
  " 5 of TDN. Mixes whose seeds overlap are not told apart."
)
EPOCHS = 3.0
"""After two epochs the seeds of TSM are 40 points apart (TDRL Table 4), and after four it has 93% (TTSN Table VI)."""


def name_of(mix: Sequence[str]) -> str:
  """As "mbpm, x3d, tim+pem, diversity, mgda"; what is empty or a default is left out."""
  return ", ".join(part for part in mix if part and part != "weighted")


def config(mix: Sequence[str]) -> str:
  """Its config."""
  given = zip(("backbone", "plugins", "losses", "blend"), mix[1:], strict=True)
  return f"configs/mix.py:{','.join([mix[0], *(f'{key}={value}' for key, value in given if value)])}"


def table(mixes: Sequence[Sequence[str]], epochs: float | None = None) -> Table:
  """A table of mixes, which `Sweep` trains.

  Args:
    mixes: each as in MIXES.
    epochs: given by the user. Otherwise the ViT has those of its config, as it has not begun to learn after EPOCHS.
  """
  rows = []
  for mix in mixes:
    cost = Cost(config(mix), (), 8)
    kind = "rerun" if tuple(mix) in PUBLISHED else "ours"
    flags = (f"--config.train.epochs={_vit.EPOCHS}",) if mix[1] == "vit" and epochs is None else ()
    rows.append(Row(name_of(mix), {}, kind, {"": Training(config(mix), flags)}, cost=cost))
  return Table("mixes", rows, epochs=EPOCHS)


def product(inputs: Sequence[str], backbones: Sequence[str], plugins: Sequence[str], losses: Sequence[str], blend: str):
  """The mixes of a product that can be, and a line for each that cannot.

  Args:
    inputs: names, as in `configs/mix.py`.
    backbones: likewise.
    plugins: each joined by "+", or "none".
    losses: likewise.
    blend: of several losses.
  """
  given = {"backbone": backbones, "plugins": plugins, "losses": losses, "blend": [blend]}
  for key, values in {"": inputs, **given}.items():
    known = OPTIONS.get(key, INPUTS)
    odd = [part for value in values for part in value.replace("none", "").split("+") if part and part not in known]
    if odd:
      choices = known if key in ("", "backbone") else ("none", *known)
      raise InputError(f"--{FLAGS[key]}: there is no {odd[0]!r}: choose {', '.join(choices)}")
  mixes, left_out = [], []
  for one in itertools.product(inputs, backbones, plugins, losses):
    first, backbone, some, more = (part.replace("none", "") for part in one)
    mix = first, backbone, some, more, blend if more else "weighted"
    try:
      get_config(config(mix).partition(":")[2])
    except ValueError as error:
      left_out.append(f"{name_of(mix)}: {error}")
    else:
      mixes.append(mix)
  return mixes, left_out


def ranking(mixes: Table, measured: Mapping[str, Mapping[str, Spread]], seeds: int) -> str:
  """The mixes from the best to the worst, with what they cost, in Markdown.

  Args:
    mixes: the table.
    measured: of its rows.
    seeds: of each; mixes with fewer are named below.
  """
  heads = ["", "mix", "published", "top-1 %, mean (smallest to largest)", *COSTS]
  lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
  done = [row for row in mixes.rows if "top-1 %" in measured.get(row.name, {})]
  for place, row in enumerate(sorted(done, key=lambda row: -measured[row.name]["top-1 %"].mean), start=1):
    published = "yes" if row.kind == "rerun" else ""
    cells = [str(place), row.name, published, str(measured[row.name]["top-1 %"]), *costs(row)]
    lines.append(f"| {' | '.join(cells)} |")
  trained = {row.name: measured[row.name]["top-1 %"].seeds if row in done else 0 for row in mixes.rows}
  short = [f"{name} ({count} of {seeds} seeds)" for name, count in trained.items() if count < seeds]
  lines += ["", f"Not finished: {'; '.join(short)}."] * bool(short)
  lines += ["", "* Some seeds were trained at another commit than the newest."] * any("*" in line for line in lines)
  lines += ["", "One seed of each is weak evidence: seeds of one mix may be tens of points apart."] * (seeds == 1)
  return "\n".join([*lines, "", NOTE]) + "\n"


def costs(row: Row) -> list[str]:
  """What a mix costs, the cells of COSTS."""
  assert isinstance(row.cost, Cost)
  name, *options = row.cost.config.split(",")
  plain = ",".join([name, *(one for one in options if one.startswith("backbone="))])
  own, alone = count(row.cost), count(dataclasses.replace(row.cost, config=plain))
  times = [f"{own[unit] / alone[unit]:.2f}" for unit in ("params k", "MFLOPs")]
  return [f"{own['params k']:.0f}", f"{own['MFLOPs']:.1f}", f"{1000 * own['GMAC']:.1f}", *times]


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if values.scale == "full":
    raise InputError("mixes are of mini scale: there is no --scale=full")
  mixes = (*MIXES, *PUBLISHED)
  if values.inputs or values.backbones or values.plugins or values.losses:
    given = values.inputs or ["rgb"], values.backbones or ["resnet"], values.plugins or ["none"]
    mixes, left_out = product(*given, values.losses or ["none"], values.blend)
    for line in left_out:
      say(f"left out: {line}")
    if not mixes:
      raise InputError("none of these mixes can be")
  rows = table(mixes, values.epochs)
  if values.scale == "cost":
    for row in rows.rows:
      say(f"{row.name}: " + ", ".join(f"{head} {cell}" for head, cell in zip(COSTS, costs(row), strict=True)))
    say(NOTE)
    return
  sweep = given_sweep(rows, out_folder())
  failed = sweep.run()
  write(sweep)
  path: pathlib.Path = sweep.out / "ranking.md"
  write_text(path, ranking(rows, gather(sweep.read()), len(sweep.seeds)))
  say_text(path.read_text(encoding="utf-8"))
  say(f"wrote ranking.md and results.csv to {sweep.out}")
  report_failed(failed)


if __name__ == "__main__":
  define_flags()
  flags.DEFINE_list("inputs", [], "Input representations, as in configs/mix.py (default: the mixes of this file).")
  flags.DEFINE_list("backbones", [], "Backbones.")
  flags.DEFINE_list("plugins", [], "Plug-ins, each joined by +, as in none,tsm,tim+pem.")
  flags.DEFINE_list("losses", [], "Losses beside classification, each joined by +, as in none,diversity+reversal.")
  flags.DEFINE_string("blend", "weighted", "How several losses are joined.")
  run_main(main)
