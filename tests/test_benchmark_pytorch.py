"""The comparison of whole networks: our half of it, and what it says where PyTorch is missing."""

import importlib

import jax
import numpy as np
import pytest

from vidjax.backbones.resnet import MiniResNet
from vidjax.benchmark import pytorch
from vidjax.benchmark.pytorch import CASES, NUM_CLASSES, Case, measure_pytorch
from vidjax.errors import InputError

TINY = Case(pytorch._ours(MiniResNet((4, 4, 4, 4))), (2, 16, 16), lambda: importlib.import_module("torch_is_missing"))


def test_networks_have_the_parameters_of_the_released_ones():
  """TSM's ResNet-50 and MobileNetV2 are torchvision's; X3D-M has 3.79 M with 400 classes."""
  counts = {}
  for name, case in CASES.items():
    clip = jax.ShapeDtypeStruct((1, *case.clip, 3), "float32")
    shapes = jax.eval_shape(lambda key, x, case=case: case.ours.init(key, x, train=False), jax.random.key(0), clip)
    counts[name] = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
  x3d = 3_794_274 - (400 - NUM_CLASSES) * 2049
  assert counts == {"TSM, ResNet-50": 23_864_558, "TSM, MobileNetV2": 2_446_766, "X3D-M": x3d}


def test_our_half_infers_and_learns():
  infer, train, parameters = pytorch._jax(TINY)
  assert infer().shape == (1, NUM_CLASSES)
  first = jax.tree.map(np.array, train())
  second = jax.tree.map(np.array, train())
  assert parameters == sum(leaf.size for leaf in jax.tree.leaves(first))
  changed = jax.tree.map(lambda one, other: bool((one != other).any()), first, second)
  assert changed["classifier"] == {"kernel": True, "bias": True}
  assert changed["backbone"]["stem"]["conv"]["kernel"]


def test_each_takes_its_turn(monkeypatch):
  calls = []
  monkeypatch.setattr(pytorch, "_jax", lambda case: (lambda: calls.append("i"), lambda: calls.append("t"), 5))
  monkeypatch.setattr(pytorch, "_torch", lambda case: (lambda: calls.append("I"), lambda: calls.append("T"), 5))
  results = measure_pytorch(3, {"tiny": TINY})
  assert "".join(calls) == "iI" * 5 + "tT" * 5
  assert {name: list(times) for name, times in results.items()} == {
    "tiny, inference": ["vidjax", "torch"],
    "tiny, training": ["vidjax", "torch"],
  }
  monkeypatch.setattr(pytorch, "_torch", lambda case: (None, None, 6))
  with pytest.raises(InputError, match="tiny has 5 parameters, PyTorch's 6"):
    measure_pytorch(1, {"tiny": TINY})


def test_missing_libraries_are_named(monkeypatch):
  monkeypatch.setattr(pytorch, "_jax", lambda case: (None, None, 0))
  with pytest.raises(InputError, match="pip install torch torchvision pytorchvideo"):
    measure_pytorch(1, {"tiny": TINY})
