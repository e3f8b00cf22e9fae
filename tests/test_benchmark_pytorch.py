"""The comparison of whole networks: our half of it, and what it says where PyTorch is missing."""

import contextlib
import importlib
import os

import jax
import numpy as np
import pytest

from vidjax.backbones.resnet import MiniResNet
from vidjax.benchmark import pytorch
from vidjax.benchmark.pytorch import CASES, NUM_CLASSES, Case, measure_pytorch
from vidjax.errors import InputError


def missing():
  return importlib.import_module("torch_is_missing")


TINY = Case(pytorch._ours(MiniResNet((4, 4, 4, 4))), (2, 16, 16), missing)


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
  parameters, runs = pytorch._jax(TINY)
  assert runs["inference"]().shape == (1, NUM_CLASSES)
  first = jax.tree.map(np.array, runs["training"]())
  second = jax.tree.map(np.array, runs["training"]())
  assert parameters == sum(leaf.size for leaf in jax.tree.leaves(first))
  changed = jax.tree.map(lambda one, other: bool((one != other).any()), first, second)
  assert changed["classifier"] == {"kernel": True, "bias": True}
  assert changed["backbone"]["stem"]["conv"]["kernel"]


def test_each_takes_its_turn(monkeypatch):
  calls = []

  @contextlib.contextmanager
  def process(case, keep_memory):
    name = "KT"[not keep_memory]
    yield 5, lambda direction: calls.append(name + direction[0]) or 4.0

  ours = {direction: lambda letter=direction[0]: calls.append(f"v{letter}") for direction in ("inference", "training")}
  monkeypatch.setattr(pytorch, "_jax", lambda case: (5, ours))
  monkeypatch.setattr(pytorch, "_torch_process", process)
  results = measure_pytorch(3, {"tiny": TINY})
  assert calls == ["vi", "vi", "Ti", "Ti", "Ki", "Ki"] * 4 + ["vt", "vt", "Tt", "Tt", "Kt", "Kt"] * 4
  assert list(results) == ["tiny, inference", "tiny, training"]
  for times in results.values():
    assert list(times) == ["vidjax", "torch", "torch, memory kept"]
    assert times["torch"].median == 4
  monkeypatch.setattr(pytorch, "_jax", lambda case: (6, ours))
  with pytest.raises(InputError, match="tiny has 6 parameters, PyTorch's 5"):
    measure_pytorch(1, {"tiny": TINY})


def serve(connection, *_):
  """In the place of PyTorch: tells how its process treats memory, and what it is asked."""
  connection.send(int(os.environ["VIDJAX_KEEP_MEMORY"]))
  with contextlib.suppress(EOFError):
    while True:
      connection.send(f"{connection.recv()}!")


@pytest.mark.parametrize("keep", [False, True])
def test_processes_of_their_own(keep, monkeypatch):
  monkeypatch.setattr(pytorch, "_serve", serve)
  monkeypatch.delenv("VIDJAX_KEEP_MEMORY", raising=False)
  with pytorch._torch_process(TINY, keep) as (kept, ask):
    assert kept == keep
    assert "VIDJAX_KEEP_MEMORY" not in os.environ
    assert ask("training") == "training!"


def test_missing_libraries_are_named():
  with pytest.raises(InputError, match="pip install torch torchvision pytorchvideo"):
    measure_pytorch(1, {"tiny": TINY})


def ends(*_):
  os._exit(1)


def test_a_process_that_ends_is_no_hang(monkeypatch):
  monkeypatch.setattr(pytorch, "_serve", ends)
  with pytest.raises(InputError, match="process ended; is there memory"):
    measure_pytorch(1, {"tiny": TINY})
