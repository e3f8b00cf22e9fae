"""Runs the released code of AIM, ST-Adapter and TokShift, tiny, in float64, for `tests/plugins/adapters.npz`.

  python experiments/released_adapters.py MADE OUT CODE

MADE is the file vidjax/verify/made.py, which makes the weights, OUT the file to write, CODE a folder with git checkouts
adapt-image-models, st-adapter and TokShift-Transformer. It needs PyTorch, timm and einops, and not vidjax.
"""

import importlib.util
import pathlib
import sys
import types
from unittest import mock

import numpy as np
import timm.layers
import torch
from torch import nn

BATCH, FRAMES, SIZE, PATCH, WIDTH, HEADS, DEPTH = 2, 3, 8, 4, 16, 2, 4


def absent(name, **names):
  """Puts a module in the place of one that the released code imports and does not need here."""
  sys.modules[name] = types.ModuleType(name)
  sys.modules[name].__dict__.update(names)
  sys.modules[name].__path__ = []


def loaded(name, file):
  """A file of Python as a module."""
  spec = importlib.util.spec_from_file_location(name, file)
  sys.modules[name] = module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def filled(network, made):
  """The network in float64, on the made weights of its names; convolutions of adapters are small, as trained ones."""
  state = network.double().state_dict()
  weights = {name: torch.from_numpy(made.tensor(name, value.shape)).double() for name, value in state.items()}
  network.load_state_dict({name: x * (0.2 if name.endswith(".conv.weight") else 1) for name, x in weights.items()})
  return network.eval()


def tokens_of(module, run):
  """What a part of a network gives in a run, as `[B, T, 1 + N, D]`, and what the run returns."""
  kept = []
  hook = module.register_forward_hook(lambda module, given, output: kept.append(output))
  with torch.no_grad():
    output = run()
  hook.remove()
  return kept[0].reshape(BATCH, FRAMES, -1, WIDTH), output


def aim(code, made, clips, temporal):
  """AIM's tokens behind the last normalisation, with one or two adapters of attention over time."""
  absent("timm.models.layers", **{n: getattr(timm.layers, n) for n in ("DropPath", "to_2tuple", "trunc_normal_")})
  absent("clip")
  absent("mmaction")
  absent("mmaction.utils", get_root_logger=None)
  absent("aim")
  absent("aim.builder", BACKBONES=types.SimpleNamespace(register_module=lambda: lambda made: made))
  absent("aim.backbones")
  released = loaded("aim.backbones.vit_clip", code / "adapt-image-models/mmaction/models/backbones/vit_clip.py")
  released.LayerNorm.forward = nn.LayerNorm.forward  # it would compute in float32
  network = filled(released.ViT_CLIP(SIZE, FRAMES, PATCH, WIDTH, DEPTH, HEADS, 0.1, temporal), made)
  return tokens_of(network.ln_post, lambda: network(clips))[0]


def st_adapter(code, made, clips):
  """ST-Adapter's tokens before the last normalisation, and its logits."""
  absent("configs", CLIP_VIT_B16_PATH=None, CLIP_VIT_L14_PATH=None, DWCONV3D_DISABLE_CUDNN=False)
  released = loaded("models_adapter", code / "st-adapter/models_adapter.py")
  released.LayerNorm.forward = nn.LayerNorm.forward
  network = released.VisionTransformer(
    input_resolution=SIZE,
    patch_size=PATCH,
    width=WIDTH,
    layers=DEPTH,
    heads=HEADS,
    num_classes=5,
    adapter_width=6,
    adapter_layers=DEPTH,
    adapter_kernel_size=(3, 1, 1),
    adapter_pre_attn=True,
    adapter_pre_mlp=True,
  )
  filled(network, made)
  return tokens_of(network.transformer, lambda: network(clips))


def tokshift(code, made):
  """TokShift's tokens behind one block."""
  absent("scipy", ndimage=None)
  absent("vit_models", configs=mock.MagicMock())
  sys.modules["vit_models.configs"] = sys.modules["vit_models"].configs
  absent("vit_models.modeling_resnet", ResNetV2=None)
  released = loaded("vit_models.tokshift", code / "TokShift-Transformer/vit_models/modeling_tokshift.py")
  inner = {"num_heads": HEADS, "mlp_dim": 4 * WIDTH, "attention_dropout_rate": 0.0, "dropout_rate": 0.0}
  settings = types.SimpleNamespace(hidden_size=WIDTH, n_seg=FRAMES, fold_div=4, transformer=inner)
  block = filled(released.Block(settings, False), made)
  tokens = np.random.RandomState(1).standard_normal((BATCH * FRAMES, 5, WIDTH)).astype(np.float32)
  with torch.no_grad():
    return block(torch.from_numpy(tokens).double())[0].reshape(BATCH, FRAMES, 5, WIDTH)


def main(made, out, code):
  """Writes the file."""
  made, code = loaded("made", made), pathlib.Path(code)
  torch.set_default_dtype(torch.float64)
  clips = np.random.RandomState(0).standard_normal((BATCH, FRAMES, SIZE, SIZE, 3)).astype(np.float32)
  clips = torch.from_numpy(clips).double().permute(0, 4, 1, 2, 3)
  tokens, logits = st_adapter(code, made, clips)
  found = {
    "aim": aim(code, made, clips, 1),
    "aim_two": aim(code, made, clips, 2),
    "st_adapter": tokens,
    "st_adapter_logits": logits,
    "tokshift": tokshift(code, made),
  }
  np.savez_compressed(out, **{name: x.numpy().astype(np.float32) for name, x in found.items()})


if __name__ == "__main__":
  main(*sys.argv[1:])
