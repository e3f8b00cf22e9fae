"""Milliseconds a frame of a network that reads a stream, against the released approach in PyTorch.

TSM's released demo keeps, ahead of each shifted block, an eighth of the channels of the last frame. Here the same is
written as buffers of torchvision's MobileNetV2.
"""

import importlib
from typing import Any

import jax
import numpy as np

from vidjax.apply.once import jit_once
from vidjax.apply.stream import start, step
from vidjax.backbones.mobilenet import TSM_BLOCKS, MobileNetV2
from vidjax.benchmark.measure import Spread
from vidjax.benchmark.pytorch import NUM_CLASSES, Case, Run, measure_pytorch
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM

ONLINE = Insert(TSM(bidirectional=False), "before", blocks=TSM_BLOCKS)


def _mobilenet() -> Any:
  net = importlib.import_module("torchvision").models.mobilenet_v2(num_classes=NUM_CLASSES)
  for block in net.modules():
    if getattr(block, "use_res_connect", False):
      block.conv[0].register_forward_pre_hook(_handing_on())
  return net


def _handing_on() -> Any:
  torch, kept = importlib.import_module("torch"), {}

  def hand_on(_: Any, args: tuple[Any]) -> tuple[Any]:
    (x,) = args
    fold = x.shape[1] // 8
    last = kept.get("last", torch.zeros_like(x[:, :fold]))
    kept["last"] = x[:, :fold].detach().clone()
    return (torch.cat([last, x[:, fold:]], dim=1),)

  return hand_on


def _ours(case: Case) -> tuple[int, dict[str, Run]]:
  """The number of parameters, and what reads one more frame."""
  frame = np.random.default_rng(0).standard_normal((1, *case.clip[1:], 3), np.float32)
  variables: Any = jit_once(lambda key: case.ours.init(key, frame[:, None], train=False))(jax.random.key(0))
  variables = {name: variables[name] for name in ("params", "batch_stats")}
  one = jax.jit(lambda v, memory, x: step(case.ours, v, memory, x), donate_argnums=1)
  memory = start(case.ours, variables, frame)

  def read() -> Any:
    nonlocal memory
    scores, memory = one(variables, memory, frame)
    return jax.block_until_ready(scores)

  return sum(leaf.size for leaf in jax.tree.leaves(variables["params"])), {"inference": read}


CASES = {
  "TSM online, MobileNetV2, a frame": Case(
    Recognizer(MobileNetV2(inserts=(ONLINE,)), NUM_CLASSES), (1, 224, 224), _mobilenet, runs=_ours
  )
}


def measure_streaming(runs: int) -> dict[str, dict[str, Spread]]:
  """As `benchmark.pytorch.measure_pytorch`, one frame of 224 x 224 after the other."""
  return measure_pytorch(runs, CASES, ("inference",))
