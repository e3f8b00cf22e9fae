"""ARCH, the baseline of rtsae's Table 3: a clip network on 6 frames a step under an LSTM.

  python -m vidjax.prepare ucf101 --source=DIR
  python -m vidjax.train --config=configs/arch.py:ucf101 --workdir=runs/arch --config.init.workdir=runs/x3d

This is Table 3's average sampling: 8 steps, evenly over the video, each of 6 neighbouring frames. RTSAE sampling is the
same config on the frames that the run of another network keeps, such as one of `configs/rtsae_dscnn.py`:

  python -m vidjax.prepare keyframes --workdir=runs/rtsae --name=kept
  python -m vidjax.train --config=configs/arch.py:ucf101 --config.data.name=folder/kept --workdir=runs/arch_kept \\
    --config.init.workdir=runs/x3d

There a step is 6 kept frames in their order. The original takes one keyframe and 5 resampled frames. SMS sampling is
not here. `:hmdb51` is the same on HMDB51.

ARCH's code was not published: this is a stand-in, see `vidjax.networks.arch`. From rtsae: 6 frames a step, and nothing
else, as it does not print ARCH's recipe. From SlowFast's code: X3D-M, its training crops and normalisation. Ours: 8
steps, 256 units, and the recipe, AdamW at .0001 for 30 epochs. It starts from a run of `configs/x3d.py:m` on Kinetics
(--config.init.workdir=runs/x3d).

`:mini` is MiniResNet with TSM and 4 steps on `synthetic_actions/sparse`, for two CPU cores. Its numbers are ours.
Measured from the quickstart's weights, one seed: 55% on `synthetic_actions/order` after 200 steps, and chance (12% of 8
classes) on `sparse` after 5 epochs, a quarter of its training, where few of the frames show the action.
"""

from ml_collections import ConfigDict

from configs import _sets, default
from vidjax.backbones.resnet import MiniResNet
from vidjax.backbones.x3d import X3D
from vidjax.build import described
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM


def get_config(arg: str = "ucf101") -> ConfigDict:
  """`arg`: "ucf101", "hmdb51" or "mini"."""
  if arg not in ("ucf101", "hmdb51", "mini"):
    raise ValueError(f"configs/arch.py:{arg}: choose ucf101, hmdb51 or mini")
  mini = arg == "mini"
  c = default.get_config()
  c.sampler.num_segments, c.sampler.frames_per_segment = 8, 6
  c.model = ConfigDict({"make": "vidjax.networks.arch.ARCH", "frames": 6})
  c.optimizer = ConfigDict({"make": "optax.adamw", "weight_decay": 1e-4})
  if mini:
    c.data.name = "synthetic_actions/sparse"
    c.sampler.num_segments = 4
    c.data.num_threads = 1
    c.transforms = ({"make": "vidjax.data.augment.Resize", "size": 48},)
    c.test = {"make": "vidjax.data.augment.TestCrops", "size": 48, "short_side": 48}
    net = MiniResNet((24, 24, 48, 48), (Insert(TSM(fold_div=8), "before"),))
    c.model.backbone = described(net, "widths", "inserts", "fold_div")
    c.model.units, c.model.dropout = 64, 0.2
    c.schedule.learning_rate = 1e-3
    c.train.epochs = 20.0
    c.train.evaluate_every = 5.0
    c.train.batch_size = 16
    return c
  _sets.use(c, arg)
  c.transforms = (
    {"make": "vidjax.data.augment.ScaleJitterCrop", "size": 224, "short_sides": (256, 320)},
    {"make": "vidjax.data.augment.Flip", "probability": 0.5, "swap": ()},
  )
  c.normalise = {"make": "vidjax.apply.device_augment.Normalise", "mean": (0.45,) * 3, "std": (0.225,) * 3}
  c.model.backbone = described(X3D(), "depth_factor", "width_factor")
  c.model.units, c.model.dropout = 256, 0.5
  c.init.pretrained, c.init.new, c.init.unused = "kinetics400/x3d-m", ("lstm", "classifier"), ("hidden",)
  c.schedule.learning_rate = 1e-4
  c.schedule.warmup_epochs = 1.0
  c.train.epochs = 30.0
  c.train.batch_size = 16
  return c
