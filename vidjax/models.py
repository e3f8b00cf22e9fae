"""Released models by name: the network, where its weights are, and how the authors' test feeds it.

`vidjax.load_model("x3d_m")` and `python -m vidjax.predict --model=x3d_m FILE` read this table. Accuracies are top-1 as
the authors print them at `source`; none was measured here. A `parity` is the reference of `vidjax.verify` by which the
network was compared with released code, on random weights. Frames of encoders are spread over the video: our choice.
"""

import difflib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

import flax.linen as nn

from vidjax.backbones import released_vits as vits
from vidjax.backbones.mobilenet import TSM_BLOCKS, MobileNetV2
from vidjax.backbones.resnet import ResNet
from vidjax.backbones.videoprism import videoprism
from vidjax.backbones.x3d import X3D
from vidjax.build import described
from vidjax.errors import InputError
from vidjax.networks.attentive import AttentivePooler
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM, released_shift
from vidjax.released import CLIP, HALF, PLAIN, SLOWFAST, Clip, Released

NAMES = {"Kinetics-400": pathlib.Path(__file__).parent / "kinetics400.txt"}
"""Class names kept here, in the order of the labels, which is that of the alphabet; those of others come with their
weights."""


K400, K600, K710, DIVING = "Kinetics-400", "Kinetics-600", "Kinetics-710", "Diving48"
SSV1, SSV2 = "Something-Something V1", "Something-Something V2"
CLASSES = {K400: 400, K600: 600, K710: 710, SSV1: 174, SSV2: 174, DIVING: 48}


def _x3d(letter: str, clip: Clip, accuracy: float, parameters: float, depth: float = 2.2, parity: str = "") -> Released:
  return Released(
    lambda: Recognizer(X3D(depth_factor=depth), 400, consensus="features", hidden=2048),
    f"https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/X3D_{letter.upper()}.pyth",
    "Apache-2.0",
    "github.com/facebookresearch/pytorchvideo docs/source/model_zoo.md",
    K400,
    400,
    clip,
    "10x3",
    accuracy,
    parity,
    parameters,
  )


def _tsm(data: str, net: str, end: str, clip: Clip, views: str, accuracy: float) -> Released:
  mobile = net == "mobilenetv2"
  depth: Any = 0 if mobile else int(net.removeprefix("resnet"))
  inserts = (Insert(TSM(8), "before", blocks=TSM_BLOCKS) if mobile else released_shift(depth),)
  name = {K400: "kinetics", SSV1: "something", SSV2: "somethingv2"}[data]
  return Released(
    lambda: Recognizer(MobileNetV2(inserts=inserts) if mobile else ResNet(depth, inserts=inserts), CLASSES[data]),
    f"https://file.lzhu.me/projects/tsm/models/TSM_{name}_RGB_{net}_shift8_blockres_avg_segment{clip.frames}_{end}.pth",
    "MIT",
    "github.com/mit-han-lab/temporal-shift-module README.md",
    data,
    CLASSES[data],
    clip,
    views,
    accuracy,
    parity={"mobilenetv2": "tsm_mobilenet_v2", "resnet50": "tsm_resnet50"}.get(net, ""),
  )


def _videomae(size: str, data: str, accuracy: float) -> Released:
  second, uniform = data == K710, data == SSV2
  hub = f"MCG-NJU/videomae-{size}-finetuned-{'ssv2' if uniform else 'kinetics'}"
  return Released(
    lambda: Recognizer(vits.videomae(size), CLASSES[data], dropout=0.0, consensus="features", pooled_norm=1e-6),
    f"OpenGVLab/VideoMAE2:distill/vit_{size[0]}_k710_dl_from_giant.pth" if second else hub,
    "CC-BY-NC-4.0",
    "github.com/OpenGVLab/VideoMAEv2 docs/MODEL_ZOO.md" if second else "github.com/MCG-NJU/VideoMAE MODEL_ZOO.md",
    data,
    CLASSES[data],
    Clip(16, 0 if uniform else 4),
    "2x3" if uniform else "5x3",
    accuracy,
    "tiny_videomae_original",
    note="the licence is that of OpenGVLab/VideoMAEv2-Base; OpenGVLab/VideoMAE2 says Apache-2.0: ask its authors"
    if second
    else "",
  )


def _timesformer(name: str, data: str, stride: int, accuracy: float) -> Released:
  return Released(
    lambda: Recognizer(vits.timesformer("base"), CLASSES[data], dropout=0.0),
    f"facebook/timesformer-base-finetuned-{name}",
    "CC-BY-NC-4.0",
    "github.com/facebookresearch/TimeSformer README.md",
    data,
    CLASSES[data],
    Clip(8, stride, colours=SLOWFAST, rule="spread"),
    "1x3",
    accuracy,
    "tiny_timesformer_original",
  )


def _vjepa2(name: str, data: str, clip: Clip, views: str, accuracy: float | None = None, note: str = "") -> Released:
  probe = AttentivePooler(heads=16, depth=3)
  return Released(
    lambda: Recognizer(
      vits.vjepa2("large", clip.frames), CLASSES[data], dropout=0.0, consensus="features", pooling=probe
    ),
    f"facebook/vjepa2-vitl-fpc{clip.frames}-256-{name}",
    "MIT",
    "github.com/facebookresearch/vjepa2 README.md",
    data,
    CLASSES[data],
    clip,
    views,
    accuracy,
    "tiny_vjepa2_hub",
    note=note,
  )


def _images(
  backbone: Callable[[], nn.Module], weights: str, licence: str, data: str, clip: Clip, **more: Any
) -> Released:
  """An image model: the mean of the features of its frames."""
  pooling = more.pop("pooling", None)
  return Released(
    lambda: Recognizer(backbone(), 0, dropout=0.0, pooling=pooling),
    f"timm/{weights}",
    licence,
    more.pop("source", "timm 1.0.31, pretrained_cfg"),
    data,
    0,
    clip,
    **more,
  )


def _clip(size: str, patch: int) -> Released:
  return _images(
    lambda: vits.clip(size, patch),
    f"vit_{size}_patch{patch}_clip_224.openai",
    "MIT",
    "WIT",
    Clip(8, 0, colours=CLIP),
    source="github.com/openai/CLIP LICENSE",
    parity="tiny_clip_timm",
    unused=("head.",),
  )


def _dinov2(size: str, registers: int, accuracy: float, parameters: float) -> Released:
  return _images(
    lambda: vits.dinov2(size, registers),
    f"vit_{size}_patch14_{'reg4_' if registers else ''}dinov2.lvd142m",
    "Apache-2.0",
    "LVD-142M",
    Clip(8, 0, short_side=256),
    source="github.com/facebookresearch/dinov2 README.md",
    views="ImageNet, linear",
    accuracy=accuracy,
    parity="tiny_dinov2_registers_hub" if registers else "tiny_dinov2_resized_original",
    parameters=parameters,
  )


def _videoprism(size: Literal["base", "large"], frames: int, accuracy: float, parameters: float) -> Released:
  name = f"{size}_f{frames}r288"
  return Released(
    lambda: Recognizer(videoprism(size), 0, dropout=0.0, consensus="features"),
    f"google/videoprism-{name.replace('_', '-')}:flax_{name}_repeated.npz",
    "CC-BY-4.0",
    "github.com/google-deepmind/videoprism README.md",
    "films, WebLI",
    0,
    Clip(frames, 0, 288, 288, PLAIN),
    "K400, probe",
    accuracy,
    parameters=parameters,
    note="the network is its authors' own code",
  )


MODELS: Mapping[str, Released] = {
  "x3d_xs": _x3d("xs", Clip(4, 12, 182, 182, SLOWFAST, "spread"), 69.12, 3.79, parity="x3d_m"),
  "x3d_s": _x3d("s", Clip(13, 6, 182, 182, SLOWFAST, "spread"), 73.33, 3.79, parity="x3d_m"),
  "x3d_m": _x3d("m", Clip(16, 5, 256, 256, SLOWFAST, "spread"), 75.94, 3.79, parity="x3d_m"),
  "x3d_l": _x3d("l", Clip(16, 5, 356, 356, SLOWFAST, "spread"), 77.44, 6.15, depth=5.0),
  "tsm_resnet50": _tsm(K400, "resnet50", "e50", Clip(8, 0, 224, 256), "1x1", 71.2),
  "tsm_resnet50_16f": _tsm(K400, "resnet50", "e50", Clip(16, 0, 224, 256), "1x1", 72.6),
  "tsm_resnet50_dense": _tsm(K400, "resnet50", "e100_dense", Clip(8, 8, 256, 256), "10x3", 74.1),
  "tsm_resnet50_ssv1": _tsm(SSV1, "resnet50", "e45", Clip(8, 0, 224, 256), "1x1", 45.6),
  "tsm_resnet50_ssv1_16f": _tsm(SSV1, "resnet50", "e45", Clip(16, 0, 224, 256), "1x1", 47.2),
  "tsm_resnet50_ssv2": _tsm(SSV2, "resnet50", "e45", Clip(8, 0, 256, 256), "2x3", 61.2),
  "tsm_resnet50_ssv2_16f": _tsm(SSV2, "resnet50", "e45", Clip(16, 0, 256, 256), "2x3", 63.1),
  "tsm_resnet101_ssv1": _tsm(SSV1, "resnet101", "e45", Clip(8, 0, 224, 256), "1x1", 46.9),
  "tsm_resnet101_ssv2": _tsm(SSV2, "resnet101", "e45", Clip(8, 0, 256, 256), "2x3", 63.3),
  "tsm_mobilenet_v2": _tsm(K400, "mobilenetv2", "e100_dense", Clip(8, 8, 256, 256), "10x3", 69.5),
  "videomae_small_k400": _videomae("small", K400, 79.0),
  "videomae_base_k400": _videomae("base", K400, 81.5),
  "videomae_large_k400": _videomae("large", K400, 85.2),
  "videomae_small_ssv2": _videomae("small", SSV2, 66.8),
  "videomae_base_ssv2": _videomae("base", SSV2, 70.8),
  "videomae_v2_small_k710": _videomae("small", K710, 77.6),
  "videomae_v2_base_k710": _videomae("base", K710, 81.5),
  "timesformer_base_k400": _timesformer("k400", K400, 32, 77.9),
  "timesformer_base_k600": _timesformer("k600", K600, 32, 79.1),
  "timesformer_base_ssv2": _timesformer("ssv2", SSV2, 0, 59.1),
  "vjepa2_large_ssv2": _vjepa2("ssv2", SSV2, Clip(16, 4, 256, 292, rule="spread"), "2x3", 73.7),
  "vjepa2_large_diving48": _vjepa2(
    "diving48",
    DIVING,
    Clip(32, 2, 256, 292, rule="spread"),
    "4x3",
    note="the authors' 89.0 is of tokens from four layers; the hub's model and this one read the last layer's",
  ),
  "clip_base_16": _clip("base", 16),
  "clip_large_14": _clip("large", 14),
  "siglip2_base_16": _images(
    lambda: vits.siglip("base"),
    "vit_base_patch16_siglip_224.v2_webli",
    "Apache-2.0",
    "WebLI",
    Clip(8, 0, colours=HALF),
    parity="tiny_siglip_timm",
    pooling=AttentivePooler(12, out=True, residual=False, norm=False, activation="gelu_tanh"),
    note="its authors squash frames to a square; here the middle square is cut",
  ),
  "dinov2_small": _dinov2("small", 0, 81.1, 21),
  "dinov2_base": _dinov2("base", 0, 84.5, 86),
  "dinov2_large": _dinov2("large", 0, 86.3, 300),
  "dinov2_small_registers": _dinov2("small", 4, 80.9, 21),
  "dinov2_base_registers": _dinov2("base", 4, 84.6, 86),
  "dinov2_large_registers": _dinov2("large", 4, 86.7, 300),
  "vit_base_16": _images(
    lambda: vits.imagenet("base"),
    "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "Apache-2.0",
    "ImageNet-21k, 1k",
    Clip(8, 0, short_side=248, colours=HALF),
    parity="tiny_vit_timm",
    unused=("head.",),
  ),
  "videomae_base": Released(
    lambda: Recognizer(vits.videomae("base", pretrained=True), 0, dropout=0.0, consensus="features"),
    "MCG-NJU/videomae-base",
    "CC-BY-NC-4.0",
    "github.com/MCG-NJU/VideoMAE MODEL_ZOO.md",
    K400,
    0,
    Clip(16, 4),
    parity="tiny_videomae_pretrained_hub",
  ),
  "vjepa2_large": Released(
    lambda: Recognizer(vits.vjepa2("large"), 0, dropout=0.0, consensus="features"),
    "facebook/vjepa2-vitl-fpc64-256",
    "MIT",
    "github.com/facebookresearch/vjepa2 README.md",
    "videos of the web",
    0,
    Clip(64, 0, 256, 292),
    parity="tiny_vjepa2_hub",
    parameters=300,
  ),
  "videoprism_base": _videoprism("base", 16, 82.9, 114),
  "videoprism_large": _videoprism("large", 8, 85.0, 354),
}
"""Released models by name."""


def find(name: str) -> Released:
  """The model of a name; InputError that tells the nearest where there is none."""
  if name not in MODELS:
    if "/" in name or pathlib.Path(name).suffix:
      raise InputError(
        f"no released model is called {name!r}: give its name, as x3d_m, and a file as weights=FILE, of a command as"
        " --weights=FILE"
      )
    near = difflib.get_close_matches(name, MODELS, 1, 0)[0]
    raise InputError(
      f"no released model is called {name!r}; the nearest is {near}, and python -m vidjax.predict --models lists all (a"
      " config is named as configs/FILE.py)"
    )
  return MODELS[name]


def config_of(name: str) -> dict[str, Any]:
  """A config for prediction with a model: its network, frames, crop and normalisation; its data set is not there."""
  model = find(name)
  network = described(model.network())
  network.pop("num_classes", None)  # the number of class names
  clip, (mean, std) = model.clip, model.clip.colours
  sampler = {"make": "vidjax.data.sampling.UniformSegments", "num_segments": clip.frames}
  if clip.stride:
    sampler = {
      "make": "vidjax.data.sampling.Dense",
      "num_frames": clip.frames,
      "stride": clip.stride,
      "rule": clip.rule,
    }
  return {
    "seed": 0,
    "data": {"name": f"released/{name}"},
    "sampler": sampler,
    "transforms": (),
    "device_transforms": (),
    "test": {"make": "vidjax.data.augment.TestCrops", "size": clip.size, "short_side": clip.short_side},
    "normalise": {"make": "vidjax.apply.device_augment.Normalise", "mean": mean, "std": std},
    "model": network,
    "init": {},
    "losses": ({"make": "vidjax.losses.classification.CrossEntropy"},),
    "blend": {"make": "vidjax.train.multitask.Weighted"},
    "optimizer": {"make": "vidjax.train.optimizer.make_optimizer"},
    "schedule": {"make": "vidjax.train.schedules.cosine", "learning_rate": 0.01},
    "train": {"epochs": 1, "batch_size": 1},
  }


def class_names(model: Released) -> list[str]:
  """Names in the order of the labels: those kept here, else numbers."""
  if model.data in NAMES and model.classes:
    return NAMES[model.data].read_text(encoding="utf-8").splitlines()
  return [str(number) for number in range(model.classes)]


COLUMNS = ("model", "classes", "frames", "top-1 printed", "licence", "parity")
"""Of `rows`."""


def rows() -> list[tuple[str, ...]]:
  """The table in words, a row for each model."""
  found = []
  for name, model in MODELS.items():
    classes = f"{model.classes}, {model.data}" if model.classes else f"none, {model.data}"
    frames = f"{model.clip.frames}, {f'stride {model.clip.stride}' if model.clip.stride else 'all over'}"
    parity = "tiny" if model.parity.startswith("tiny_") else "yes" if model.parity else "-"
    accuracy = f"{model.accuracy} ({model.views})" if model.accuracy is not None else "-"
    found.append((name, classes, frames, accuracy, model.licence, parity))
  return found
