"""Runs released PyTorch code on the weights and clips of `vidjax.verify.made`; `experiments.parity` calls it.

  python experiments/released.py NAME FOLDER MADE OUT

FOLDER is a checkout of the code, MADE the file vidjax/verify/made.py, OUT the JSON file to write: the shapes of the
state dict, and the logits. It needs PyTorch, torchvision and, for X3D, pytorchvideo, and not vidjax.
"""

import importlib.util
import json
import pathlib
import sys
import types

import torch
import torchvision

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def without_download():
  """Released code asks for ImageNet's weights, by torchvision's old flag or by their address: it gets none."""
  make = torchvision.models.resnet50
  torchvision.models.resnet50 = lambda *_, **__: make(weights=None)
  torch.utils.model_zoo.load_url = lambda *_, **__: {}


def tsn(folder, **settings):
  """The class TSN that TSM, RNL and TDN share; its input is `[B, T, 3, H, W]`."""
  from ops.models import TSN

  TSN.print_spec = False  # one branch of its constructor reads it before it is there
  return TSN(174, 8, "RGB", consensus_type="avg", partial_bn=False, pretrain="", **settings)


def frames_first(x):
  """Clips `[B, T, H, W, C]` as `[B, T * C, H, W]`."""
  return x.permute(0, 1, 4, 2, 3).flatten(1, 2)


def tsm_resnet50(folder):
  """TSM."""
  return tsn(folder, base_model="resnet50", is_shift=True), frames_first, 8, IMAGENET


def tsm_mobilenet_v2(folder):
  """TSM."""
  return tsn(folder, base_model="mobilenetv2", is_shift=True), frames_first, 8, IMAGENET


def rnl_resnet50(folder):
  """RNL; it imports a package `archs` that is not released, for a network that it does not use here."""
  sys.modules["archs"] = types.SimpleNamespace(small_resnet=types.SimpleNamespace(ResNet=()))
  return tsn(folder, base_model="resnet50", is_shift=True, non_local=True), frames_first, 8, IMAGENET


def tdn_resnet50(folder):
  """TDN."""
  return tsn(folder, base_model="resnet50"), frames_first, 40, IMAGENET


def bqn_resnet50(folder):
  """BQN; its file `bqn_resnet_reverse.py` is that of the thesis, which its class TSN does not import.

  `ops.depthwise_conv`, which it imports and does not use here, is not released with it.
  """
  sys.modules["ops.depthwise_conv"] = types.ModuleType("ops.depthwise_conv")
  path = folder / "src" / "model.py"
  text = path.read_text().replace("from .bqn_resnet import", "from .bqn_resnet_reverse import")
  (folder / "src" / "model_thesis.py").write_text(text.replace("pretrained=True", "pretrained=False"))
  from src.model_thesis import TSN

  return TSN(174, 4, 3, "resnet50", 256, partial_bn=False, print_spec=False), frames_first, 12, IMAGENET


def x3d_m(folder):
  """X3D of PyTorchVideo."""
  from pytorchvideo.models.x3d import create_x3d

  model = create_x3d(input_clip_length=16, input_crop_size=160, model_num_class=400, head_activation=None)
  return model, lambda x: x.permute(0, 4, 1, 2, 3), 16, ((0.45,) * 3, (0.225,) * 3)


def main(name, folder, made, out):
  """Writes the reference."""
  folder = pathlib.Path(folder)
  sys.path.insert(0, str(folder))
  spec = importlib.util.spec_from_file_location("made", made)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  without_download()
  model, arrange, frames, (mean, std) = globals()[name](folder)
  size = {"x3d_m": 160, "bqn_resnet50": 256}.get(name, 128)
  state = model.state_dict()
  shapes = {key: list(x.shape) for key, x in state.items() if x.dtype == torch.float32 and not key.endswith(".mask")}
  state |= {key: torch.from_numpy(module.tensor(key, shape)) for key, shape in shapes.items()}
  model.load_state_dict(state)
  model.eval()
  x = torch.from_numpy(module.clip(frames, size)).float()[None] / 255
  x = (x - torch.tensor(mean)) / torch.tensor(std)
  with torch.no_grad():
    logits = model(arrange(x))[0]
    exact = model.double()(arrange(x.double()))[0]
  noise = float((logits - exact).abs().max() / exact.abs().max())
  found = {
    "clip": [frames, size],
    "mean": mean,
    "std": std,
    "noise": noise,
    "library": f"torch {torch.__version__}, torchvision {torchvision.__version__}",
    "logits": [float(f"{v:.7g}") for v in logits.tolist()],
    "tensors": shapes,
  }
  pathlib.Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
  main(*sys.argv[1:])
