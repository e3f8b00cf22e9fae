"""TeSNet's streams beside one frame and three segments (thesis Table 3.4), UCF101, split 1, 20 clips a video.

No row has TSM. At mini scale TeSNet squeezes 24 frames, or the 23 flows between them. Its RGB stream is that of Table
3.3.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Kind, Row, Table, Training
from experiments.thesis.table_3_2 import VIEWS
from experiments.thesis.table_3_3 import BATCH

PLAIN = "--config.model.backbone.inserts=()"
SEGMENTS = {"baseline": 1, "tsn": 3}


def mini(setting: str, stream: str) -> Training:
  """A stream at mini scale.

  Args:
    setting: of `configs/tesnet.py`.
    stream: "RGB" or "flow".
  """
  if setting == "64":
    return Training(f"configs/tesnet.py:{'mini' if stream == 'RGB' else 'mini_flow'}-24")
  flags = f"--config.sampler.num_segments={SEGMENTS[setting]}", PLAIN
  return Training(f"configs/inputs.py:{stream.lower()}", flags)


def rows(setting: str, name: str, printed: tuple[float, float, float], kind: Kind = "own") -> tuple[Row, ...]:
  """The streams of a network, and their averaged scores.

  Args:
    setting: of `configs/tesnet.py`.
    name: of the network.
    printed: of RGB, flow and both.
    kind: of the rows.
  """
  found = []
  for stream, source, top1 in (("RGB", "rgb", printed[0]), ("flow", "stored_flow", printed[1])):
    full = Training(f"configs/tesnet.py:{source}-{setting}", BATCH if setting == "64" else (), VIEWS)
    own = {"": mini(setting, stream)}
    found.append(Row(f"{name}, {stream}", {"UCF101 top-1": top1}, kind, own, {"UCF101": full}))
  partners = tuple(row.name for row in found)
  return (*found, Row(f"{name}, both", {"UCF101 top-1": printed[2]}, kind, partners=partners))


TABLE = Table(
  "thesis Table 3.4",
  (
    *rows("baseline", "1 frame", (83.5, 85.4, 92.5), "rerun"),
    *rows("tsn", "TSN, 3 segments", (85.0, 85.1, 92.9), "rerun"),
    *rows("64", "TeSNet-64", (87.8, 88.2, 95.2)),
  ),
  pairs=(("UCF101 top-1", "top-1 %"),),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
