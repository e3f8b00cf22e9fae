"""What temporal squeeze pooling knows of the order of frames (thesis 3.4): an image a clip, or one a segment.

On `synthetic_actions/order` a network that is blind to order cannot exceed 50%. Inside a segment TSP weighs frames by
their mean brightness, which says little of their order; the images of several segments, with TSM over them, keep it.
Only the classification trains it here, so that nothing but the pooling stands in its way.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training
from experiments.thesis.mini import FRAMES


def row(segments: int) -> Row:
  """TSP over a clip cut into segments."""
  length = FRAMES // segments
  sizes = f"--config.sampler.num_segments={segments}", f"--config.sampler.frames_per_segment={length}"
  alone = "--config.blend.weights.projection=0.0"
  training = Training("configs/inputs.py:tsp", (*sizes, f"--config.model.representation.frames={length}", alone))
  return Row(f"{segments}_segments", {}, "ours", {"": training})


TABLE = Table("thesis 3.4", tuple(row(segments) for segments in (1, 2, 4, 8)), epochs=3.0)

if __name__ == "__main__":
  run_table(TABLE)
