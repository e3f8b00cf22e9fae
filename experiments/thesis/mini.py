"""Mini trainings that several tables of the thesis have in common."""

from experiments.tables.row import Training

FRAMES = 24
"""Of a clip of `synthetic_actions/order`: rows that cut a clip in another way hold segments times frames to them."""


def dan(frames: int = 4, rank: int = 1, *flags: str) -> dict[str, Training]:
  """DAN joined by MGDA, its segments cut from the same frames of a clip.

  Args:
    frames: T of a segment.
    rank: D images of a segment.
    *flags: further ones.
  """
  return {
    "": Training(
      "configs/dan.py:mini",
      (
        f"--config.sampler.num_segments={FRAMES // frames}",
        f"--config.sampler.frames_per_segment={frames}",
        f"--config.model.representation.frames={frames}",
        f"--config.model.representation.rank={rank}",
        *flags,
      ),
    )
  }


def dan_full(frames: int = 8, rank: int = 1, *flags: str) -> dict[str, Training]:
  """DAN of X3D-XS, 4 segments, joined by MGDA, on Mini-Kinetics and Something-Something V1.

  Args:
    frames: T of a segment.
    rank: D images of a segment.
    *flags: further ones.
  """
  pwtp = f"--config.model.representation.frames={frames}", f"--config.model.representation.rank={rank}"
  sampler = {
    "Mini-Kinetics": ("mini_kinetics200", f"num_frames={4 * frames}"),
    "SSv1": ("ssv1", f"frames_per_segment={frames}"),
  }
  return {
    name: Training(f"configs/dan.py:{config},backbone=x3d_xs", (*pwtp, f"--config.sampler.{length}", *flags))
    for name, (config, length) in sampler.items()
  }


def tsp_alone(*flags: str) -> dict[str, Training]:
  """TSP trained on its projection loss alone, before a network that is held.

  Args:
    *flags: further ones.
  """
  weights = "--config.blend.weights.classification=0.0", "--config.train.frozen=('backbone','classifier')"
  return {"": Training("configs/tesnet.py:mini", (*weights, *flags))}


def pwtp_alone(*flags: str) -> dict[str, Training]:
  """PWTP trained on its projection loss alone, before a network that is held.

  Args:
    *flags: further ones.
  """
  weights = "--config.blend.weights.classification=0.0", "--config.blend.weights.projection=1.0"
  return {
    "": Training(
      "configs/dan.py:mini,blend=fixed", (*weights, "--config.train.frozen=('backbone','classifier')", *flags)
    )
  }
