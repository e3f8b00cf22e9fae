"""Mini trainings that several tables of the thesis have in common, and DAN at full scale.

A setting that is that of the config makes no flag: tables that have a point in common train it by one command, once.
"""

from collections.abc import Mapping

from experiments.tables.row import Training

FRAMES = 24
"""Of a clip of `synthetic_actions/order`: rows that cut a clip in another way hold segments times frames to them."""

LONG = "--config.data.name=synthetic_actions/order:48"
"""Clips of Tables 3.9 to 3.11: 3 segments of 16 frames, the largest T of Table 3.10, fit in."""

MINI = {"frames": 8, "rank": 1, "kernel": 5, "stride": 4, "features": 8}
"""Of PWTP in `configs/dan.py:mini`."""

FULL = {"frames": 8, "rank": 1, "kernel": 9, "stride": 8, "features": 24}
"""Of PWTP in `configs/dan.py:ssv1,backbone=x3d_xs`."""


def changed(settings: Mapping[str, int], config: Mapping[str, int]) -> tuple[str, ...]:
  """Flags of PWTP's settings that are not those of a config.

  Args:
    settings: some of them.
    config: all of the config.
  """
  return tuple(
    f"--config.model.representation.{name}={value}" for name, value in settings.items() if value != config[name]
  )


def dan(**settings: int) -> dict[str, Training]:
  """DAN joined by MGDA, 3 segments a clip.

  Args:
    **settings: of PWTP.
  """
  frames = settings.get("frames", MINI["frames"])
  length = (f"--config.sampler.frames_per_segment={frames}",) * (frames != MINI["frames"])
  return {"": Training("configs/dan.py:mini", (LONG, *changed(settings, MINI), *length))}


def dan_full(**settings: int) -> dict[str, Training]:
  """DAN of X3D-XS, 4 segments, joined by MGDA, on Mini-Kinetics and Something-Something V1.

  Args:
    **settings: of PWTP.
  """
  frames = settings.get("frames", FULL["frames"])
  found = {}
  for name, config, length in (
    ("Mini-Kinetics", "mini_kinetics200", f"num_frames={4 * frames}"),
    ("SSv1", "ssv1", f"frames_per_segment={frames}"),
  ):
    flags = (*changed(settings, FULL), *(f"--config.sampler.{length}",) * (frames != FULL["frames"]))
    found[name] = Training(f"configs/dan.py:{config},backbone=x3d_xs", flags)
  return found


ALONE = ("--config.blend.weights.classification=0.0", "--config.train.frozen=('backbone','classifier')")
"""Flags that train an input on its projection alone, before a network that is held."""

PROJECTION = (*ALONE, "--config.blend.weights.projection=1.0")
"""The same of PWTP with fixed weights."""

THESIS_STEP = "--config.blend.weights.projection=0.1"
"""Rate times weight is .01, as in the thesis. With the config's weight of 10 sigmoid and leaky ReLU end at an
error of 61 in place of 28 (seed 0), and relu at 63 in place of 31."""


def tsp_alone(*flags: str) -> dict[str, Training]:
  """TSP trained on its projection loss alone, before a network that is held.

  Args:
    *flags: further ones.
  """
  return {"": Training("configs/tesnet.py:mini", (*ALONE, THESIS_STEP, *flags))}


def pwtp_alone(*flags: str) -> dict[str, Training]:
  """PWTP trained on its projection loss alone, before a network that is held.

  Args:
    *flags: further ones.
  """
  return {"": Training("configs/dan.py:mini,blend=fixed", (*PROJECTION, *flags))}
