"""A shrunk classifier and its encoder for the table of released models.

`python -m tests.tiny_models ...` is `python -m vidjax.predict ...` with these in the table.
"""

import dataclasses
import runpy

from vidjax.backbones.resnet import MiniResNet
from vidjax.models import MODELS, Clip
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM


def network(classes: int) -> Recognizer:
  """With a temporal shift, 8 features."""
  return Recognizer(MiniResNet(widths=(8, 8, 8, 8), inserts=(Insert(TSM(4), "before"),)), classes)


_CLIP = Clip(4, 2, 16, 20)
_TINY = dataclasses.replace(
  MODELS["x3d_m"], network=lambda: network(3), weights="who/tiny", licence="CC-BY-NC-4.0", data="Tiny", classes=3
)
TINY = {
  "tiny": dataclasses.replace(_TINY, clip=_CLIP),
  "tiny_encoder": dataclasses.replace(
    _TINY, network=lambda: network(0), licence="MIT", classes=0, clip=_CLIP, unused=("fc.", "decoder.")
  ),
}

if __name__ == "__main__":
  table = MODELS
  assert isinstance(table, dict)
  table.update(TINY)
  runpy.run_module("vidjax.predict", run_name="__main__", alter_sys=True)
