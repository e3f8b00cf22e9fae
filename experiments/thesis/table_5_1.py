"""MBPM beside other input representations (thesis Table 5.1); costs are those of the representation.

Mini trainings are as in Table 3.12.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Kind, Row, Table, cited, numbers
from experiments.thesis.table_3_12 import DATA, full, inputs

SETS = "UCF101", "SSv1", "K400"
COLUMNS = *(f"{name} top-1" for name in SETS), "GFLOPs", "params k"
UNITS = {"gflops": "GFLOPs", "params": "params k"}


def row(name: str, config: str, *printed: float, kind: Kind = "rerun", full_config: str = "", **reasons: str) -> Row:
  """An input.

  Args:
    name: of the row.
    config: its name in `configs/inputs.py`.
    *printed: by COLUMNS.
    kind: of the row.
    full_config: its name at full scale, where that is another one.
    **reasons: why counts differ: "gflops" and "params".
  """
  counted = len(printed) > len(SETS)
  cost = Cost(f"configs/inputs.py:{config},data=ucf101", (), 101, below="representation") if counted else None
  return Row(
    name,
    numbers(COLUMNS, printed),
    kind,
    inputs(f"configs/inputs.py:{config}"),
    full(full_config or config, *SETS),
    cost,
    reasons={UNITS[key]: text for key, text in reasons.items()},
  )


TABLE = Table(
  "thesis Table 5.1",
  (
    row("RGB", "rgb", 87.1, 46.5, 71.2),
    row("RGB difference", "rgb_difference", 87.0, 46.6, 71.4),
    row("TV-L1 flow", "flow", 88.5, 37.4, 55.7, full_config="stored_flow"),
    row("dynamic image", "dynamic_image", 86.2, 43.4, 68.3),
    *cited(COLUMNS, {"FlowNetC": (87.3, 26.3, None, 444, 39_200), "FlowNetS": (86.8, 23.4, None, 356, 38_700)}),
    row(
      "TVNet",
      "frozen_tvnet",
      88.6,
      45.2,
      58.5,
      3.3,
      0.2,
      gflops="its sums of shifted frames are no convolutions that are counted",
      params="its 170 numbers are not trained",
    ),
    row(
      "persistent appearance",
      "persistent_appearance",
      89.5,
      45.1,
      57.3,
      2.8,
      1.1,
      gflops="the print has the convolution of all 48 frames, here of 40 differences",
      params="the print cuts 1,176 weights to 1.1k",
    ),
    row(
      "MBPM",
      "mbpm",
      90.3,
      48.0,
      72.3,
      0.3,
      0.2,
      kind="own",
      gflops="the print has kernels over all 24 frames, here over 8 differences",
      params="the print cuts 252 numbers to 0.2k",
    ),
  ),
  pairs=(
    *(("UCF101 top-1", f"{name}, top-1 %") for name in DATA),
    ("SSv1 top-1", "order, top-1 %"),
    *((f"{name} top-1", f"{name}, top-1 %") for name in SETS),
  ),
  epochs=4.0,
  units={"GFLOPs": "GMAC", "params k": "params k"},  # of MBPM the thesis' counter sees nothing, and yet it is printed
)

if __name__ == "__main__":
  run_table(TABLE)
