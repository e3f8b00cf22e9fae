"""What the five papers' parts add to a small vision transformer that is trained from nothing.

`configs/vit.py:mini` is VideoMAE's network in small, without its pre-training. It sees time already, by tubelets of two
frames and attention in the whole clip. The columns are `synthetic_actions/order` and `scene:.7`, where in 70% of the
training clips the background tells the class and in validation it does not. No row was tuned but the first, for stable
training. MBPM and PWTP read three frames of each segment, the others one. ST-Adapter is trained with the whole network
here; it is made for a frozen one.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Row, Table, Training

DATA = {name: f"--config.data.name=synthetic_actions/{name}" for name in ("order", "scene:.7")}


def row(name: str, options: str = "") -> Row:
  """A network.

  Args:
    name: of the row.
    options: of `configs/vit.py:mini`.
  """
  config = f"configs/vit.py:mini{options}"
  trainings = {column: Training(config, (flag,)) for column, flag in DATA.items()}
  return Row(name, {}, "ours", trainings, cost=Cost(config, (), 8))


TABLE = Table(
  "vit: parts in a small ViT",
  (
    row("ViT"),
    row("with TSM", ",plugins=tsm"),
    row("with PEM and TD loss", ",plugins=pem,losses=diversity"),
    row("after PWTP", ",input=pwtp,losses=projection"),
    row("after MBPM", ",input=mbpm"),
    row("with ST-Adapter", ",plugins=st_adapter"),
  ),
)

if __name__ == "__main__":
  run_table(TABLE)
