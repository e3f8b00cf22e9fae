"""Every input representation before the quickstart's network: 8 segments of 3 frames of `synthetic_actions/order`.

`configs/inputs.py:mbpm` and so on, the comparison of thesis Tables 3.12 and 5.1 at mini scale. All of them see the same
24 frames of a clip; "rgb" takes one frame of each segment, which is the quickstart. Any of these `representation`s goes
before any backbone in the same way. `--config.data.name=synthetic_actions/scene:.7` changes the data.
"""

from ml_collections import ConfigDict

from configs import quickstart

FRAMES = 3  # of a segment
INPUTS = {
  "rgb": None,
  "rgb_difference": {"make": "vidjax.inputs.rgb_difference.RGBDifference", "frames": FRAMES},
  "dynamic_image": {"make": "vidjax.inputs.dynamic_image.DynamicImage", "frames": FRAMES},
  "persistent_appearance": {"make": "vidjax.inputs.persistent_appearance.PersistentAppearance", "frames": FRAMES},
  "flow": {"make": "vidjax.inputs.flow.Flow", "frames": FRAMES, "bound": 4.0},
  "tvnet": {"make": "vidjax.inputs.tvnet.TVNet", "frames": FRAMES, "bound": 4.0, "iterations": 15},
  "frozen_tvnet": {"make": "vidjax.inputs.frozen_tvnet.FrozenTVNet", "frames": FRAMES},
  "mbpm": {"make": "vidjax.inputs.mbpm.MBPM", "sigma": 1.1, "kernel": 9},
  "tsp": {"make": "vidjax.inputs.tsp.TSP", "frames": FRAMES, "rank": 1},
  # The thesis' 9x9 kernel every 8 pixels is for frames of 224 pixels.
  "pwtp": {"make": "vidjax.inputs.pwtp.PWTP", "frames": FRAMES, "kernel": 5, "stride": 2},
}


def get_config(arg: str = "mbpm") -> ConfigDict:
  """`arg`: a key of INPUTS."""
  if arg not in INPUTS:
    raise ValueError(f"configs/inputs.py:{arg}: choose {', '.join(INPUTS)}")
  c = quickstart.get_config()
  if INPUTS[arg] is not None:
    c.sampler.frames_per_segment = FRAMES
    c.model.representation = INPUTS[arg]
  if arg == "frozen_tvnet":  # no gradient reaches it, and no weight decay may
    frozen = {"make": "vidjax.train.optimizer.Group", "match": "^representation/", "rate": 0.0}
    c.optimizer.groups = (frozen, *c.optimizer.groups)
  return c
