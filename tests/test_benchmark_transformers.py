"""What the benchmarks of transformers measure, at tiny sizes, against counts by hand."""

import dataclasses

import jax
import numpy as np
import pytest

from vidjax.backbones.mobilenet import MobileNetV2
from vidjax.backbones.vit import ViT
from vidjax.benchmark import pytorch, streaming
from vidjax.benchmark.pytorch import NUM_CLASSES, Case
from vidjax.benchmark.transformers import CASES, measure_attention
from vidjax.networks.recognizer import Recognizer


def test_networks_have_the_parameters_of_the_references():
  """timm 1.0.31's and transformers 5.24's, counted there with 174 classes."""
  counts = {}
  for name, case in CASES.items():
    clip = jax.ShapeDtypeStruct((1, *case.clip, 3), "float32")
    shapes = jax.eval_shape(lambda x, case=case: case.ours.init(jax.random.key(0), x, train=False), clip)
    counts[name] = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) + case.only_theirs
  head = NUM_CLASSES * 769
  assert counts == {
    "ViT-B/16, 8 frames": 85_798_656 + head,
    "TimeSformer-B": 121_258_752 + head,
    "VideoMAE-B": 86_227_200 + head,
  }


def test_a_network_without_running_statistics_is_timed():
  tiny = ViT(width=8, depth=4, heads=2, patch=8, grid=(1, 2, 2))
  case = Case(Recognizer(tiny, NUM_CLASSES), (2, 16, 16), lambda: None)
  _, runs = pytorch._jax(case)
  assert runs["inference"]().shape == (1, NUM_CLASSES)
  first, second = (jax.tree.map(np.array, runs["training"]()) for _ in range(2))
  assert (first["classifier"]["bias"] != second["classifier"]["bias"]).all()


def test_attention_of_all_frames_grows_by_their_square():
  small = {"width": 8, "depth": 4, "heads": 2, "patch": 4}
  found = measure_attention(1, (2, 4), 8, small)
  assert list(found) == [f"{length} frames, {kind}" for length in (2, 4) for kind in ("frame", "divided", "joint")]
  macs = {name: 1e9 * row["GMAC"] for name, row in found.items()}
  attended = 4 * 2 * 8  # two products in each of 4 blocks
  linear = 4 * 12 * 64  # the layers of a block, for each token
  assert macs["4 frames, frame"] - 2 * macs["2 frames, frame"] == pytest.approx(0)
  tokens = {length: 1 + 4 * length for length in (2, 4)}
  extra = attended * (tokens[4] ** 2 - 2 * tokens[2] ** 2) - linear - 8 * NUM_CLASSES
  assert macs["4 frames, joint"] - 2 * macs["2 frames, joint"] == pytest.approx(extra)
  assert all(row["MiB"] > 0 and row["ms"].median > 0 for row in found.values())


def test_a_stream_is_timed_frame_by_frame():
  inserts = (dataclasses.replace(streaming.ONLINE, stages=(3,), blocks=(1,)),)
  backbone = MobileNetV2(width_multiplier=0.25, stages=((1, 8, 1, 1), (2, 16, 2, 2)), inserts=inserts)
  case = Case(Recognizer(backbone, 3), (1, 16, 16), lambda: None)
  parameters, runs = streaming._ours(case)
  assert parameters > 0
  first, second = runs["inference"](), runs["inference"]()
  assert first.shape == (1, 3)
  assert not (first == second).all(), "the second frame sees the first one"
