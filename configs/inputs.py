"""Every input representation before the quickstart's network: 8 segments of 3 frames of `synthetic_actions/order`.

`configs/inputs.py:mbpm` and so on, the comparison of thesis Tables 3.12 and 5.1 at mini scale. All of them see the same
24 frames of a clip; "rgb" takes one frame of each segment, which is the quickstart. Any of these `representation`s goes
before any backbone in the same way. `--config.data.name=synthetic_actions/scene:.7` changes the data.
"""

from ml_collections import ConfigDict

from configs import quickstart
from vidjax.build import described
from vidjax.inputs.dynamic_image import DynamicImage
from vidjax.inputs.flow import Flow
from vidjax.inputs.frozen_tvnet import FrozenTVNet
from vidjax.inputs.mbpm import MBPM
from vidjax.inputs.persistent_appearance import PersistentAppearance
from vidjax.inputs.pwtp import PWTP
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.inputs.tsp import TSP
from vidjax.inputs.tvnet import TVNet
from vidjax.train.optimizer import Group

FRAMES = 3  # of a segment
INPUTS = {
  "rgb": None,
  "rgb_difference": RGBDifference(FRAMES),
  "dynamic_image": DynamicImage(FRAMES),
  "persistent_appearance": PersistentAppearance(FRAMES),
  "flow": Flow(FRAMES, bound=4.0),
  "tvnet": TVNet(FRAMES, bound=4.0, iterations=15),
  "frozen_tvnet": FrozenTVNet(FRAMES),
  "mbpm": MBPM(sigma=1.1, kernel=9),
  "tsp": TSP(FRAMES, rank=1),
  "pwtp": PWTP(FRAMES, kernel=5, stride=2),  # the thesis' 9x9 kernel every 8 pixels is for frames of 224 pixels
}


def get_config(arg: str = "mbpm") -> ConfigDict:
  """`arg`: a key of INPUTS."""
  if arg not in INPUTS:
    raise ValueError(f"configs/inputs.py:{arg}: choose {', '.join(INPUTS)}")
  c = quickstart.get_config()
  if INPUTS[arg] is not None:
    c.sampler.frames_per_segment = FRAMES
    c.model.representation = described(INPUTS[arg], *(("sigma", "kernel") if arg == "mbpm" else ()))
  if arg == "frozen_tvnet":  # no gradient reaches it, and no weight decay may
    c.optimizer.groups = (described(Group("^representation/", rate=0.0)), *c.optimizer.groups)
  return c
