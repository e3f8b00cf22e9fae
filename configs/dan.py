"""Dynamic Appearance Network (thesis ch. 3): PWTP in front of a backbone, both trained at once.

  python -m vidjax.train --config=configs/dan.py:ssv1 --workdir=runs/dan

`configs/dan.py:ssv1`, `:ssv2`, `:kinetics400`, `:mini_kinetics200`, `:ucf101` and `:hmdb51` are the data sets; `:mini`
is the quickstart's network at 48 pixels on 3 segments of 8 frames of `synthetic_actions/order`. Options follow the
name, as in `configs/dan.py:ssv1,backbone=x3d_xs,blend=scale`; the first value is the default:

- `backbone=resnet50|x3d_m|x3d_xs`: ResNet-50 with TSM, or an X3D.
- `start=pretrained|scratch`: of X3D on Something-Something and on small sets, from Kinetics or from nothing.
- `blend=mgda|scale|fixed|separate`: how the losses of projection and classification are joined (Table 3.9).

Numbers are those of thesis 3.6.1, S and T those of Tables 3.6, 3.7 and 3.10. ResNet-50 starts from ImageNet
(--config.init.weights). UCF101 and HMDB51, and X3D on Something-Something, start from a run on Kinetics
(--config.init.workdir), the small sets with partial BN, PWTP's BatchNorm frozen with the rest. `start=scratch` has the
numbers that 5.5.1 gives for BQN. Another T requires both `--config.sampler.frames_per_segment` (on Kinetics
`num_frames`, S times T) and `--config.model.representation.frames`. Tests: one centre crop; Table 3.6's are
`python -m vidjax.evaluate --views=2x3 --size=256 --short_side=256`, those of Table 3.7 `--views=10x3`.

The blends have values of their own to set:

- `scale`, the scale scheduler: `--config.blend.weights.projection.gamma=0.1`, `.lam=0.1`, and the same of
  `classification`;
- `fixed`, alpha and 1 - alpha: `--config.blend.weights.projection=0.9 --config.blend.weights.classification=0.1`;
- `separate`, one after the other, in two phases of `train.epochs` each: the projection alone, then the network behind
  PWTP, which is held with its BatchNorm statistics (`--config.phases[0].train.epochs=10.` for another length).
"""

from ml_collections import ConfigDict

from configs import _options, _sets, _thesis, default, quickstart, x3d
from vidjax.build import described
from vidjax.inputs.pwtp import PWTP
from vidjax.losses.classification import CrossEntropy
from vidjax.losses.projection import Projection
from vidjax.train.multitask import MGDA, Weighted
from vidjax.train.schedules import Scale

REST = ("backbone", "classifier")
BLENDS = {
  "mgda": MGDA(shared="representation", normalise="none"),
  "scale": Weighted(
    {"projection": Scale(gamma=0.2, lam=0.3), "classification": Scale(gamma=0.2, lam=0.3, rest=True)},
  ),
  "fixed": Weighted({"projection": 0.5, "classification": 0.5}),
  "separate": Weighted(),
}
OPTIONS = {
  "backbone": ("resnet50", "x3d_m", "x3d_xs"),
  "start": ("pretrained", "scratch"),
  "blend": tuple(BLENDS),
}


def get_config(arg: str = "ssv1") -> ConfigDict:
  """`arg`: "ssv1", "ssv2", "kinetics400", "mini_kinetics200", "ucf101", "hmdb51" or "mini", then options."""
  name, options = _options.parse("dan", arg, ("ssv1", *_sets.SETS, "mini"), OPTIONS, {"mini": ("backbone", "start")})
  if name == "mini":
    c = quickstart.get_config()
    c.sampler.num_segments, c.sampler.frames_per_segment = 3, 8
    pwtp = PWTP(8, rank=1, kernel=5, stride=4, features=8)
  else:
    _thesis.check_start(f"configs/dan.py:{arg}", name, options["backbone"], options["start"])
    c = _full(name, options["backbone"], options["start"])
    pwtp = PWTP(_size(name, options["backbone"])[1], rank=1, kernel=9, stride=8, features=24)
    pwtp = pwtp.clone(frozen_bn=c.model.backbone.frozen_bn != "none")
  join(c, pwtp, options["blend"])
  return c


def join(c: ConfigDict, pwtp: PWTP, blend: str) -> None:
  """Puts PWTP before the network, with its loss.

  Args:
    c: the config, changed in place.
    pwtp: the representation.
    blend: a key of BLENDS.
  """
  c.model.representation = described(pwtp, "frames", "rank", "kernel", "stride", "features", "frozen_bn")
  c.losses = described((CrossEntropy(label_smoothing=0.0), Projection(error="enopr")), "label_smoothing", "error")
  c.blend = described(BLENDS[blend], "normalise", "weights", "gamma", "lam", "rest")
  if blend == "separate":
    c.phases = (
      {
        "name": "projection",
        "losses": c.losses[1:],
        "task": {"metric": "-loss/projection"},  # the network is not trained yet, and its accuracy says nothing
        "train": {"frozen": REST},
      },
      {
        "name": "network",
        "losses": c.losses[:1],
        "model": {"representation": {"frozen_bn": True}},
        "train": {"frozen": ("representation",)},
      },
    )


def _size(name: str, backbone: str) -> tuple[int, int]:
  """S and T."""
  if backbone == "x3d_xs":  # Tables 3.6 and 3.10
    return 4, 8
  if backbone == "x3d_m":  # Tables 3.6 and 3.7
    return (16, 3) if _sets.SETS[name].is_something else (16, 8)
  if _sets.SETS[name].is_something:  # Table 3.6
    return 8, 4
  return (16, 8) if _sets.SETS[name].is_kinetics else (8, 8)  # Table 3.7; small sets have its PWTP, and S is ours


def _full(name: str, backbone: str, start: str) -> ConfigDict:
  c = default.get_config()
  data, (segments, frames) = _sets.use(c, name), _size(name, backbone)
  if data.is_kinetics:
    c.sampler = {"make": "vidjax.data.sampling.Dense", "num_frames": segments * frames, "stride": 1}
  else:
    c.sampler = {"make": "vidjax.data.sampling.UniformSegments", "num_segments": segments, "frames_per_segment": frames}
  crop = x3d.crops(c, "xs" if backbone == "x3d_xs" else "m")  # of ResNet-50, too: 3.6.1 gives both the same
  c.transforms = (crop, _sets.flip(name))
  c.model.backbone = _thesis.network(c, backbone)
  c.optimizer.groups = _thesis.groups("^representation/(?!local/kernel)|/(bias|scale)$")
  _thesis.train(c, _thesis.recipe(name, backbone, start))
  fresh = ("representation",) if _sets.SETS[name].is_something and _thesis.is_x3d(backbone) else ()  # 3.6.1
  _thesis.start_from(c, "dan", name, backbone, start, "classifier", *fresh)
  return c
