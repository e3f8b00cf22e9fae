"""TeSNet's streams beside one frame and three segments (thesis Table 3.4), UCF101, split 1, 20 clips a video."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training

VIEWS = ("--views=20x1",)
MINI = {  # network and stream -> config and flags at mini scale, where the streams have TSM
  ("baseline", "RGB"): ("configs/inputs.py:rgb", ("--config.sampler.num_segments=1",)),
  ("baseline", "flow"): ("configs/inputs.py:flow", ("--config.sampler.num_segments=1",)),
  ("tsn", "RGB"): ("configs/inputs.py:rgb", ("--config.sampler.num_segments=3",)),
  ("tsn", "flow"): ("configs/inputs.py:flow", ("--config.sampler.num_segments=3",)),
  ("64", "RGB"): ("configs/tesnet.py:mini", ()),
}
NAMES = {"baseline": "1 frame", "tsn": "TSN, 3 segments", "64": "TeSNet-64"}


def rows(setting: str, rgb: float, flow: float, both: float, kind: str) -> tuple[Row, ...]:
  """The streams of a network, and their averaged scores."""
  name, found = NAMES[setting], []
  for stream, top1 in (("RGB", rgb), ("flow", flow)):
    config, flags = MINI.get((setting, stream), ("", ()))
    mini = {"": Training(config, flags)} if config else {}
    source = "rgb" if stream == "RGB" else "stored_flow"
    full = {"UCF101": Training(f"configs/tesnet.py:{source}-{setting}", evaluation=VIEWS)}
    found.append(Row(f"{name}, {stream}", {"UCF101 top-1": top1}, kind, mini, full))  # pyright: ignore
  return (*found, Row(f"{name}, both", {"UCF101 top-1": both}, kind, partners=tuple(row.name for row in found)))  # pyright: ignore


TABLE = Table(
  "thesis Table 3.4",
  (
    *rows("baseline", 83.5, 85.4, 92.5, "rerun"),
    *rows("tsn", 85.0, 85.1, 92.9, "rerun"),
    *rows("64", 87.8, 88.2, 95.2, "own"),
  ),
  pairs=(("UCF101 top-1", "top-1 %"),),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
