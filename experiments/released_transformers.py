"""Runs released transformers, tiny ones, on the weights and clips of `vidjax.verify.made`; `vidjax.verify` reads them.

  python experiments/released_transformers.py MADE OUT CODE [NAME ...]

MADE is the file vidjax/verify/made.py, OUT the folder of the JSON files, CODE a folder with git checkouts CLIP,
TimeSformer, VideoMAE and dinov2. It needs PyTorch, torchvision, timm, transformers and einops, and not vidjax.
"""

import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import types

import timm
import torch
import torchvision
import transformers
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import nn

WIDTH, DEPTH, HEADS, HIDDEN, PATCH, CLASSES = 32, 5, 2, 64, 8, 5
HF = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS}
MLP = {**HF, "intermediate_size": HIDDEN, "patch_size": PATCH}
RATIO = {**HF, "mlp_ratio": HIDDEN // WIDTH}
TIMM = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "mlp_ratio": HIDDEN // WIDTH}
CODE = pathlib.Path()


class Cut(nn.Module):
  """A model of which only one answer is taken."""

  def __init__(self, model, answer):
    super().__init__()
    self.model, self.answer = model, answer

  def forward(self, x):
    """What `answer` takes."""
    return self.answer(self.model, x)


def images(x):
  """Clips `[1, T, H, W, C]` as T images, `[T, C, H, W]`."""
  return x[0].permute(0, 3, 1, 2)


def videos(x):
  """Clips as `[1, T, C, H, W]`."""
  return x.permute(0, 1, 4, 2, 3)


def mean_logits(model, x):
  """The mean of the frames' logits."""
  return model(images(x)).mean(0)


def hub_logits(model, x):
  """The mean of the frames' logits, of a model of transformers."""
  return model(pixel_values=images(x)).logits.mean(0)


def hub_features(model, x):
  """The features of all frames, of a model of transformers."""
  return model(pixel_values=images(x)).pooler_output


def tiny_vit_timm():
  """ImageNet's ViT."""
  return VisionTransformer(img_size=32, patch_size=PATCH, num_classes=CLASSES, **TIMM), mean_logits, 2, 32


def tiny_vit_torchvision():
  """ImageNet's ViT."""
  model = torchvision.models.VisionTransformer(32, PATCH, DEPTH, HEADS, WIDTH, HIDDEN, num_classes=CLASSES)
  return model, mean_logits, 2, 32


def tiny_vit_hub():
  """ImageNet's ViT."""
  config = transformers.ViTConfig(**MLP, image_size=32, num_labels=CLASSES)
  return transformers.ViTForImageClassification(config), hub_logits, 2, 32


def tiny_clip_hub():
  """Both towers of CLIP; the answer is the class token's features."""
  text = {**HF, "num_hidden_layers": 1, "intermediate_size": 48, "vocab_size": 50, "max_position_embeddings": 7}
  text |= {"bos_token_id": 1, "eos_token_id": 2}
  config = transformers.CLIPConfig(text_config=text, vision_config={**MLP, "image_size": 32}, projection_dim=16)
  return transformers.CLIPModel(config), lambda model, x: hub_features(model.vision_model, x), 2, 32


def tiny_clip_openai():
  """CLIP's image tower, before its projection."""
  sys.path.insert(0, str(CODE / "CLIP"))
  sys.modules["clip.simple_tokenizer"] = types.SimpleNamespace(SimpleTokenizer=dict)  # it asks for two more packages
  from clip.model import LayerNorm
  from clip.model import VisionTransformer as Tower

  LayerNorm.forward = nn.LayerNorm.forward  # its own is in float32, of whatever precision the tower is
  model = nn.ModuleDict({"visual": Tower(32, PATCH, WIDTH, DEPTH, HEADS, 16)})

  def answer(model, x):
    model["visual"].proj = None
    return model["visual"](images(x))

  return model, answer, 2, 32


def tiny_clip_timm():
  """CLIP's image tower."""
  model = VisionTransformer(
    **{**TIMM, "mlp_ratio": 4},
    **{"img_size": 32, "patch_size": PATCH, "num_classes": 0, "pre_norm": True, "act_layer": "quick_gelu"},
    norm_layer=lambda width, **_: nn.LayerNorm(width, 1e-5),
  )
  return model, lambda model, x: model(images(x)), 2, 32


def tiny_siglip_hub():
  """SigLIP's image tower with its head of attention."""
  config = transformers.SiglipVisionConfig(**MLP, image_size=32)
  return transformers.SiglipVisionModel(config), hub_features, 1, 32


def tiny_siglip_timm():
  """SigLIP's image tower with its head of attention, and a classifier."""
  own = {"img_size": 32, "patch_size": PATCH, "num_classes": CLASSES, "act_layer": "gelu_tanh"}
  return VisionTransformer(**TIMM, **own, class_token=False, global_pool="map"), mean_logits, 2, 32


def tiny_dinov2_hub(size=70):
  """DINOv2 on frames of 112 pixels, trained on 70."""
  config = transformers.Dinov2Config(**RATIO, image_size=size, patch_size=14)
  return transformers.Dinov2Model(config), hub_features, 1, 112


def tiny_dinov2_registers_hub():
  """DINOv2 with registers, on frames of 56 pixels, trained on 70."""
  config = transformers.Dinov2WithRegistersConfig(**RATIO, image_size=70, patch_size=14)
  return transformers.Dinov2WithRegistersModel(config), hub_features, 2, 56


def tiny_dinov2_resized_original():
  """DINOv2's own code without registers, on frames of 112 pixels, trained on 70."""
  sys.path.insert(0, str(CODE / "dinov2"))
  from dinov2.models.vision_transformer import DinoVisionTransformer

  own = {"img_size": 70, "patch_size": 14, "init_values": 1.0, "block_chunks": 0, "interpolate_offset": 0.1}
  return DinoVisionTransformer(**TIMM, **own), lambda model, x: model(images(x)), 2, 112


def tiny_dinov2_original():
  """DINOv2's own names, which timm translates."""
  own = {
    "img_size": 56,
    "patch_size": 14,
    "num_classes": 0,
    "init_values": 1.0,
    "reg_tokens": 4,
    "no_embed_class": True,
  }
  model = VisionTransformer(**TIMM, **own)

  def translated(tensors):
    return checkpoint_filter_fn(dict(tensors), model)

  shapes = {name.replace("reg_token", "register_tokens"): list(x.shape) for name, x in model.state_dict().items()}
  shapes |= {"pos_embed": [1, 17, WIDTH], "mask_token": [1, WIDTH]}
  return model, lambda model, x: model(images(x)), 2, 56, shapes, translated


def tiny_videomae_hub():
  """VideoMAE after its fine-tuning."""
  config = transformers.VideoMAEConfig(**MLP, image_size=32, num_frames=4, num_labels=CLASSES)
  return transformers.VideoMAEForVideoClassification(config), lambda model, x: model(videos(x)).logits[0], 4, 32


def tiny_videomae_pretrained_hub():
  """VideoMAE before its fine-tuning: the encoder's tokens; the checkpoint has the decoder, too."""
  decoder = {f"decoder_{name}": size for name, size in {**HF, "num_hidden_layers": 1, "intermediate_size": 48}.items()}
  config = transformers.VideoMAEConfig(**MLP, **decoder, image_size=32, num_frames=4, use_mean_pooling=False)
  model = transformers.VideoMAEForPreTraining(config)
  return model, lambda model, x: model.videomae(videos(x)).last_hidden_state[0], 4, 32


def tiny_videomae_original():
  """VideoMAE, as its second version."""
  layers, registry = types.ModuleType("timm.models.layers"), types.ModuleType("timm.models.registry")
  layers.__dict__.update({name: getattr(timm.layers, name) for name in ("drop_path", "to_2tuple", "trunc_normal_")})
  registry.register_model = lambda function: function
  sys.modules |= {"timm.models.layers": layers, "timm.models.registry": registry}  # where older versions had them
  sys.path.insert(0, str(CODE / "VideoMAE"))
  from modeling_finetune import VisionTransformer as Released

  own = {"img_size": 32, "patch_size": PATCH, "num_classes": CLASSES, "all_frames": 4, "qkv_bias": True}
  model = Released(**TIMM, **own, norm_layer=lambda width: nn.LayerNorm(width, 1e-6))
  return model, lambda model, x: model(x.permute(0, 4, 1, 2, 3))[0], 4, 32


def tiny_timesformer_hub():
  """TimeSformer on the frames it was trained on."""
  config = transformers.TimesformerConfig(**MLP, image_size=32, num_frames=3, num_labels=CLASSES)
  return transformers.TimesformerForVideoClassification(config), lambda model, x: model(videos(x)).logits[0], 3, 32


def tiny_timesformer_original():
  """TimeSformer."""
  for name in ("helpers", "build"):  # of loading and of its framework
    module = types.ModuleType(f"timesformer.models.{name}")
    module.load_pretrained = None
    module.MODEL_REGISTRY = types.SimpleNamespace(register=lambda: lambda made: made)
    sys.modules[f"timesformer.models.{name}"] = module
  package = types.ModuleType("timesformer.models")
  package.__path__ = [str(CODE / "TimeSformer" / "timesformer" / "models")]
  sys.modules |= {
    "timesformer.models": package,
    "torch._six": types.SimpleNamespace(container_abcs=__import__("collections").abc),
  }
  sys.path.insert(0, str(CODE / "TimeSformer"))
  from timesformer.models.vit import VisionTransformer as Released

  own = {"img_size": 32, "patch_size": PATCH, "num_classes": CLASSES, "num_frames": 3, "qkv_bias": True}
  model = nn.ModuleDict({"model": Released(**TIMM, **own, norm_layer=lambda width: nn.LayerNorm(width, 1e-6))})
  return model, lambda model, x: model["model"](x.permute(0, 4, 1, 2, 3))[0], 3, 32


def tiny_timesformer_resized_original():
  """TimeSformer on more and larger frames than trained on; transformers' takes such tokens apart in the wrong order."""
  return (*tiny_timesformer_original()[:2], 4, 48)


def tiny_vjepa2_hub():
  """V-JEPA 2 with pooler and classifier; the checkpoint has the predictor, too."""
  predictor = {
    "pred_hidden_size": 24,
    "pred_num_attention_heads": 2,
    "pred_num_hidden_layers": 1,
    "pred_num_mask_tokens": 2,
  }
  own = {"crop_size": 32, "patch_size": PATCH, "frames_per_clip": 4, "num_pooler_layers": 2, "num_labels": CLASSES}
  config = transformers.VJEPA2Config(**RATIO, **predictor, **own)
  return transformers.VJEPA2ForVideoClassification(config), lambda model, x: model(videos(x)).logits[0], 4, 32


def tiny_vjepa2_longer_hub():
  """V-JEPA 2's on twice the frames, which last longer."""
  return (*tiny_vjepa2_hub()[:2], 8, 32)


CODES = {
  "tiny_clip_openai": "CLIP of openai",
  "tiny_dinov2_resized_original": "dinov2 of facebookresearch",
  "tiny_videomae_original": "VideoMAE of MCG-NJU",
  "tiny_timesformer_original": "TimeSformer of facebookresearch",
  "tiny_timesformer_resized_original": "TimeSformer of facebookresearch",
}


def source(name):
  """Library or commit."""
  if name in CODES:
    folder, _, owner = CODES[name].partition(" of ")
    line = ["git", "-C", str(CODE / folder), "rev-parse", "HEAD"]
    commit = subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()
    return f"github.com/{owner}/{folder} at {commit}"
  library = transformers if name.endswith("_hub") else torchvision if name.endswith("_torchvision") else timm
  return f"{library.__name__} {library.__version__}"


def tensors(made, shapes):
  """What is made by names and shapes, for PyTorch."""
  return {name: torch.as_tensor(made.tensor(name, shape)) for name, shape in shapes.items()}


def run(name, made):
  """The reference of a name."""
  model, answer, frames, size, *own = globals()[name]()
  with tempfile.TemporaryDirectory() as folder:
    if isinstance(model, transformers.PreTrainedModel):  # its files have other names than its memory
      model.save_pretrained(folder)
      path = f"{folder}/model.safetensors"
      shapes = {key: list(x.shape) for key, x in load_file(path).items()}
      save_file(tensors(made, shapes), path, {"format": "pt"})
      model, info = type(model).from_pretrained(folder, output_loading_info=True)
      assert not any(info.values()), info
    else:
      shapes, translated = own or ({key: list(x.shape) for key, x in model.state_dict().items()}, dict)
      model.load_state_dict(translated(tensors(made, shapes)))
  model = Cut(model.eval(), answer)
  x = (torch.from_numpy(made.clip(frames, size)).float()[None] / 255 - 0.5) / 0.5
  with torch.no_grad():
    found = model(x).flatten()
    exact = model.double()(x.double()).flatten()
  return {
    "source": source(name),
    "clip": [frames, size],
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "noise": float((found - exact).abs().max() / exact.abs().max()),
    "library": f"torch {torch.__version__}",
    "answer": "features" if answer is hub_features else "logits",
    "logits": [float(f"{v:.7g}") for v in found.tolist()],
    "tensors": shapes,
  }


def main(made, out, code, *names):
  """Writes the references."""
  global CODE
  CODE = pathlib.Path(code)
  spec = importlib.util.spec_from_file_location("made", made)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  for name in names or [name for name in globals() if name.startswith("tiny_")]:
    (pathlib.Path(out) / f"{name}.json").write_text(json.dumps(run(name, module)) + "\n")


if __name__ == "__main__":
  main(*sys.argv[1:])
