"""How far inputs lean on static appearance: validation accuracy on `scene`, whose training backgrounds tell the class.

`python -m experiments.thesis.table_5_1 --out=runs/table_5_1`: inputs as in thesis Tables 3.12 and 5.1 before the
quickstart's network, at three shares of training clips whose background agrees with the class. The thesis expects
motion inputs to keep more of their accuracy as the share grows.
"""

from experiments.table import Row, define_flags, run_rows
from vidjax.command import run_main

CONFIGS = {name: f"configs/inputs.py:{name}" for name in ("rgb", "rgb_difference", "mbpm")}
CONFIGS["dan"] = "configs/dan.py:mini"
ROWS = [
  Row(f"{name}_{share.removeprefix('.')}", config, [f"--config.data.name=synthetic_actions/scene:{share}"])
  for name, config in CONFIGS.items()
  for share in (".5", ".7", ".9")
]


def main(argv: list[str]) -> None:
  """The command."""
  run_rows(ROWS)


if __name__ == "__main__":
  define_flags(epochs=4.0)
  run_main(main)
