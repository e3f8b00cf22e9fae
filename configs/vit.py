"""Vision transformers with released weights, fine-tuned, probed and adapted; and a small one from nothing.

  python -m vidjax.train --config=configs/vit.py:videomae_ssv2 --workdir=runs/videomae --config.init.weights=FILE

- `:videomae_ssv2`, `:videomae_k400`: VideoMAE's ViT-B (Tong et al., NeurIPS 2022), fine-tuned.
- `:clip_k400`: CLIP's ViT-B/16, all of it trained, as ViFi-CLIP (Rasheed et al., CVPR 2023) trains it.
- `:adapter`: CLIP's ViT-B/16, frozen, with ST-Adapters (Pan et al., NeurIPS 2022). `data=ssv2|kinetics400`.
- `:probe`: a frozen backbone and a classifier on all of its tokens, as V-JEPA 2 (Assran et al., 2025) is judged on
  Something-Something V2. `head=attentive|linear`, `model=vjepa2|videomae|dinov2|clip`. On stored features a probe
  trains in a fraction of the time: `python -m vidjax.prepare features`, then `configs/probe.py`.
- `:mini`: a ViT of 0.2 M parameters on `synthetic_actions/order`. `input=` is a name of `configs/inputs.py`, "rgb" by
  default; `plugins=`, `losses=` and `blend=` are those of `configs/mix.py`, as in `:mini,plugins=tsm+rnl`. Ours.

Options follow the name; the first value is the default.

VideoMAE's numbers are those of the released scripts that made the released weights: finetune.sh of the 1600-epoch
model on Kinetics and of the 2400-epoch one on Something-Something, with the defaults of run_class_finetuning.py. The
paper's appendix has a batch of 512 (issue 103 there). 64 GPUs read 6 records each, two clips of every one: 768 clips a
step. The scripts' rate of 5e-4 is for 256 records and grows with them, here to 7.5e-4 for 384; with another batch set
`--config.train.batch_size=96 --config.schedule.learning_rate=9.4e-5`. Tests: `python -m vidjax.evaluate --size=224
--short_side=224` with `--views=5x3` on Kinetics and `--views=2x3` on Something-Something. Not taken over: on Kinetics
the stride, 64/15 frames there and 4 here, and short videos, which there repeat their last frame and here are looped;
bicubic resizing; a classifier that starts as N(0, 2e-5), here N(0, .001).

ViFi-CLIP's are those of configs/fully_supervised/k400/16_16_vifi_clip.yaml and utils/config.py. It compares clips with
names of classes by CLIP's text tower; here a linear classifier takes its place [ours]. Not taken over: grey clips, one
in five; colours are changed in every clip, not in four of five. Tests there: `--views=4x3`.

ST-Adapter's are those of the released scripts, for 4 and for 3 GPUs with 64 videos each, whose rate of 1e-3 is for 256.
The mean of the frames' class tokens is normalised, as there. Not taken over: a classifier that starts as N(0, .02).
Tests: `--views=1x3` on Something-Something and `--views=3x1` on Kinetics, with `--size=224 --short_side=224`.

The probe's are those of configs/eval/vitl/ssv2.yaml of V-JEPA 2, which trains 20 heads at once and prints the best;
here the middle rate and the least weight decay of these [ours], and one segment of 16 frames where it has two.
`model=dinov2|clip` read 8 frames of 224 pixels, `videomae` 16 of 224 [ours]. Tests: `--views=2x3`.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import _options, _sets, default, inputs, mix
from vidjax.apply.device_augment import IMAGENET_MEAN, IMAGENET_STD, ColorJitter, CutMix, Mixup, OneOf, RandomErasing
from vidjax.backbones.released_vits import clip, dinov2, videomae, vjepa2
from vidjax.backbones.vit import ViT, blocks_of
from vidjax.build import described
from vidjax.data.rand_augment import RandAugment
from vidjax.networks.attentive import AttentivePooler
from vidjax.plugins.st_adapter import st_adapters
from vidjax.train.optimizer import Group

CLIP = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}
"""Of CLIP's own images."""
MODELS = {  # backbone, heads, frames, pixels
  "vjepa2": (vjepa2("large"), 16, 16, 256),
  "videomae": (videomae("base", pretrained=True), 12, 16, 224),
  "dinov2": (dinov2("base"), 12, 8, 224),
  "clip": (clip("base"), 12, 8, 224),
}
OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
  "videomae_ssv2": {},
  "videomae_k400": {},
  "clip_k400": {},
  "adapter": {"data": ("ssv2", "kinetics400")},
  "probe": {"head": ("attentive", "linear"), "model": tuple(MODELS)},
  "mini": {
    "input": ("rgb", *(name for name in inputs.INPUTS if name != "rgb")),
    **{key: mix.OPTIONS[key] for key in ("plugins", "losses", "blend")},
  },
}


def get_config(arg: str = "videomae_ssv2") -> ConfigDict:
  """`arg`: a name above, then its options."""
  name, options = _options.parse("vit", arg, tuple(OPTIONS), OPTIONS.get(arg.partition(",")[0], {}))
  if name == "mini":
    rest = ",".join(f"{key}={options[key]}" for key in ("plugins", "losses", "blend") if options[key])
    return mix.get_config(f"{options['input']},backbone=vit,{rest}")
  if name == "clip_k400":
    return _clip()
  if name == "adapter":
    return _adapter(**options)
  if name == "probe":
    return _probe(**options)
  return _videomae("kinetics400" if name == "videomae_k400" else "ssv2")


def _videomae(data: str) -> ConfigDict:
  c = default.get_config()
  kinetics = _sets.use(c, data).is_kinetics
  c.data.repeats = 2
  c.sampler = _dense() if kinetics else _segments(16)
  _crops(c, 224, data)
  c.device_transforms = described((_erasing(), MIXING))
  _network(c, videomae("base", drop_path=0.1), "drop_path")
  c.model.pooled_norm = 1e-6
  c.losses[0]["label_smoothing"] = 0.1
  groups = {"make": "vidjax.train.layer_decay.layer_decay", "depth": 12, "decay": 0.75}
  _adamw(c, rate=7.5e-4, decay=0.05, warmup=5.0, end=0.002, groups=groups)
  c.init.pretrained, c.init.new = f"{data}/videomae_base", ("classifier", "pooled_norm")
  c.train.batch_size = 768
  c.train.epochs = 75.0 if kinetics else 30.0
  return c


def _clip() -> ConfigDict:
  c = default.get_config()
  _sets.use(c, "kinetics400")
  c.sampler = _segments(16)
  c.transforms = ({"make": "vidjax.data.augment.MultiScaleCrop", "size": 224}, _sets.flip("kinetics400"))
  c.normalise = {"make": "vidjax.apply.device_augment.Normalise", **CLIP}
  c.device_transforms = described((ColorJitter(saturation=0.2), MIXING), "brightness", "contrast", "hue")
  _network(c, clip("base"))
  c.losses[0]["label_smoothing"] = 0.1
  _adamw(c, rate=2.2e-5, decay=0.001, warmup=5.0, end=0.01, beta2=0.98)
  c.init.pretrained, c.init.new = "clip/base", ("classifier",)
  c.train.batch_size = 512
  c.train.epochs = 30.0
  return c


def _adapter(data: str) -> ConfigDict:
  c = default.get_config()
  kinetics = _sets.use(c, data).is_kinetics
  if kinetics:
    c.sampler = _dense(8, 16)
    crop = {"make": "vidjax.data.augment.ScaleJitterCrop", "size": 224, "short_sides": (224, 258)}
    c.transforms = (crop, _sets.flip(data))
    c.test.short_side = 224
  else:
    c.sampler.num_segments = 8
    _crops(c, 224, data)
  c.normalise = {"make": "vidjax.apply.device_augment.Normalise", **CLIP}
  places = ("between",) if kinetics else ("ahead", "between")
  _network(c, clip("base", last_norm=False, inserts=st_adapters(384, places)), "width")
  c.model.pooled_norm = 1e-5
  c.model.dropout = 0.5
  rate, epochs = (7.5e-4, 12.0) if kinetics else (1e-3, 50.0)
  _adamw(c, rate, decay=0.01, warmup=2.0, end=0.0, groups=described((Group("/bias$", decay=0.0),)))
  blocks = [f"backbone/stage{stage}/block{i}" for stage, count in blocks_of(12).items() for i in range(count)]
  c.init.pretrained = "clip/base"
  c.init.new = ("classifier", *(f"{block}/{place}_STAdapter" for block in blocks for place in places))
  c.train.trained = ("STAdapter", "classifier")
  c.train.batch_size = 192 if kinetics else 256
  c.train.epochs = epochs
  return c


def _probe(head: str, model: str) -> ConfigDict:
  c = default.get_config()
  _sets.use(c, "ssv2")
  backbone, heads, frames, pixels = MODELS[model]
  c.sampler = _dense(frames, 64 // frames)
  _crops(c, pixels, "ssv2")
  c.device_transforms = described((_erasing(),))
  if model == "clip":
    c.normalise = {"make": "vidjax.apply.device_augment.Normalise", **CLIP}
  _network(c, backbone.clone(pool="mean"), "pool")
  if head == "attentive":
    c.model.pooling = described(AttentivePooler(heads, depth=3), "heads", "depth")
  _adamw(c, rate=1e-3, decay=0.01, warmup=0.0, end=0.0)
  c.init.pretrained = f"{model}/{'large' if model == 'vjepa2' else 'base'}"
  c.init.new = ("classifier", "pooling") if head == "attentive" else ("classifier",)
  c.train.frozen = ("backbone",)
  c.train.batch_size = 256
  c.train.epochs = 20.0
  return c


MIXING = OneOf((Mixup(0.8), CutMix(1.0)))
"""One of the two for each batch, each as likely."""


def _erasing() -> RandomErasing:
  return RandomErasing(0.25, aspect=(0.3, 1 / 0.3), color=IMAGENET_MEAN, noise=IMAGENET_STD)


def _crops(c: ConfigDict, size: int, data: str) -> None:
  """RandAugment and a crop of random area, for training; the centre for validation."""
  c.transforms = (
    described(RandAugment(4, 21, 1.5, 0.5, "timm")),  # rand-m7-n4-mstd0.5-inc1, whose magnitudes go to 10
    {"make": "vidjax.data.augment.RandomResizedCrop", "size": size},
    _sets.flip(data),
  )
  c.test = {"make": "vidjax.data.augment.TestCrops", "size": size, "short_side": size}


def _network(c: ConfigDict, backbone: ViT, *told: str) -> None:
  c.model.backbone = described(backbone, *told)
  c.model.consensus = "features"
  c.model.dropout = 0.0


def _adamw(
  c: ConfigDict, rate: float, decay: float, warmup: float, end: float, groups: Any = (), beta2: float = 0.999
) -> None:
  """AdamW, with a warm-up from 0 and a cosine; without groups all parameters decay."""
  make = {"make": "vidjax.train.optimizer.make_optimizer", "kind": "adamw", "momentum": 0.9, "beta2": beta2}
  c.optimizer = ConfigDict({**make, "weight_decay": decay, "groups": groups})
  c.schedule.learning_rate = rate
  c.schedule.warmup_epochs = warmup
  c.schedule.warmup_from = 0.0
  c.schedule.end = end


def _segments(frames: int) -> dict[str, Any]:
  name = "vidjax.data.sampling.UniformSegments"
  return {"make": name, "num_segments": frames, "frames_per_segment": 1, "rule": "released"}


def _dense(frames: int = 16, stride: int = 4) -> dict[str, Any]:
  return {"make": "vidjax.data.sampling.Dense", "num_frames": frames, "stride": stride}
