"""What every plug-in, input, backbone and network promises, checked for each class the packages define.

A new module is found by itself. Where it needs arguments, or has defaults too large for a test, `ARGUMENTS` gives a
small value by parameter name; classes whose name starts with an underscore are parts, tested through their owners.
"""

import dataclasses
import functools
import importlib
import importlib.util
import inspect
import pkgutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from vidjax.backbones.resnet import BasicBlock, MiniResNet
from vidjax.backbones.vgg import VGG
from vidjax.errors import InputError
from vidjax.inputs.mbpm import MBPM
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.inputs.tsp import TSP
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.rtsae_dscnn import Measured
from vidjax.plugins.cpa import CPA
from vidjax.plugins.insert import CONVOLUTIONAL, Insert, Place
from vidjax.plugins.nonlocal_ import NonLocal
from vidjax.types import Output

MINI = MiniResNet(widths=(8, 8, 8, 8))
ARGUMENTS = {
  "backbone": MINI,
  "blocks": (1, 1, 1),
  "branches": (((8, (1, 1)), (8, (3, 3))), ((8, (3, 3)),)),
  "depth": 18,
  "entry": (((8, (3, 3)),),),
  "features": 8,
  "frames": 3,
  "sizes": (1, 0.5),
  "measured": Measured(stream=VGG(2, 6, depths=(1, 1, 1, 1, 1)), length=8),
  "modules": (NonLocal(), CPA(((1, 1, 1), (3, 3, 3)))),
  "num_blocks": 2,
  "num_classes": 5,
  "number": 2,
  "position_sets": 0,
  "reduction": 4,
  "stages": ((1, 8, 1, 1), (2, 16, 1, 2)),
  "templates": (BasicBlock(8, stride=2), BasicBlock(8)),
  "tss_width": 8,
  "streams": (Recognizer(MINI, 5), Recognizer(MINI, 5, RGBDifference(3))),
  "width": 8,
  "width_multiplier": 0.125,
  "widths": (8, 8, 8, 8),
}
OWN = {
  "ARCH": {"frames": 1},
  "BQN": {"mbpm": MBPM(kernel=3), "lateral_kernels": (3,)},
  "DeepEmbedding": {"widths": (6, 4), "window": 2, "stride": 1, "steps": 2, "clusters": 3},
  "DeepResidual": {"widths": (6, 4), "window": 2, "stride": 1, "clusters": 3},
  "X3D": {"stages": ((1, 4),), "depth_factor": 1.0},
  "MBPM": {"kernel": 3},
  "NetVLAD": {"clusters": 3},
  "TSP": {"rank": 2},
  "Quiet": {"busy": MBPM(kernel=3)},
  "Flow": {"levels": 1, "warps": 2, "iterations": 3},
  "TVNet": {"iterations": 3},
  "ViT": {"width": 16, "depth": 4, "heads": 2, "patch": 8, "grid": (1, 2, 2), "pool": "mean"},
  "Series": {"modules": (RGBDifference(3, stack=False), TSP(2, 1))},
}
"""Small values for one class, where its argument means something else than another's."""
CLIPS = {"plugins": (2, 3, 6, 5, 16), "inputs": (2, 3, 32, 32, 3), "backbones": (2, 3, 32, 32, 3)}
CLIPS["networks"] = CLIPS["inputs"]
FEATURES = {
  name: (2, 3, 16)
  for name in ("Probe", "RTSAE", "DeepEmbedding", "DeepResidual", "LSTMClassifier", "NetVLAD", "TransformerClassifier")
}
FEATURES |= {name: (2, 3, 32, 32, 5) for name in ("GateTraining", "RTSAEDSCNN")}
"""What classes read that take features, not clips."""
PARTS = {"Measured", "Fusion", "Embedding", "Decoder", "Clusters", "AttentivePooler"}
PARTS |= {"PatchEmbedding", "LastNorm", "TransformerBlock", "SelfAttention"}
"""Parts of a network that are no network themselves: they are tested with it."""
SIZES = {"inception_resnet.Stem": 75, "inception_resnet.InceptionResNetV2": 75}
"""Pixels a class needs beyond those of CLIPS."""


def classes(room: str) -> list[type[nn.Module]]:
  """Every public nn.Module class that a module of vidjax.<room> defines."""
  if importlib.util.find_spec(f"vidjax.{room}") is None:
    return []
  package = importlib.import_module(f"vidjax.{room}")
  modules = [importlib.import_module(m.name) for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
  return [
    value
    for module in modules
    for name, value in vars(module).items()
    if inspect.isclass(value)
    and issubclass(value, nn.Module)
    and value.__module__ == module.__name__
    and not name.startswith("_")
    and name not in PARTS | OUTSIDE
  ]


OUTSIDE = {"VideoPrism"}
"""Classes around the code of a package that need not be there: tests/backbones/test_videoprism.py."""
ROOMS = {room: classes(room) for room in CLIPS}
ALL = [cls for found in ROOMS.values() for cls in found]
WITH_INSERTS = [cls for cls in ROOMS["backbones"] if "inserts" in {f.name for f in dataclasses.fields(cls)}]
WITH_REMAT = [cls for cls in ALL if "remat" in {f.name for f in dataclasses.fields(cls)}]


def each(found):
  return pytest.mark.parametrize("cls", found, ids=lambda cls: cls.__name__)


def required(cls: type[nn.Module]) -> set[str]:
  fields = [f for f in dataclasses.fields(cls) if f.init and f.name not in ("parent", "name")]
  missing = dataclasses.MISSING
  return {f.name for f in fields if f.default is missing and f.default_factory is missing}


def make(cls: type[nn.Module], **more) -> nn.Module:
  unknown = required(cls) - set(ARGUMENTS) - set(more)
  assert not unknown, f"give ARGUMENTS of test_contracts.py a small value for {cls.__name__}'s {sorted(unknown)}"
  names = {field.name for field in dataclasses.fields(cls) if field.init}
  small = {**ARGUMENTS, **OWN.get(cls.__name__, {})}
  return cls(**{**{name: value for name, value in small.items() if name in names}, **more})


def clip_of(cls: type[nn.Module], **axes: int) -> jax.Array:
  """A random clip for the room the class lives in; `frames` overrides the number of frames (or of segments)."""
  batch, frames, *rest = FEATURES.get(cls.__name__, CLIPS[cls.__module__.split(".")[1]])
  segment = getattr(cls, "frames_per_segment", 1)
  size = SIZES.get(f"{cls.__module__.split('.')[-1]}.{cls.__name__}")
  rest = [size, size, rest[-1]] if size else rest
  return jax.random.normal(jax.random.key(1), (batch, segment * axes.get("frames", frames), *rest))


@functools.cache
def case(cls: type[nn.Module]):
  """A module, its variables, moved off their initial values so that no branch is a zero, and a clip."""
  module, clip = make(cls), clip_of(cls)
  variables = jax.jit(module.init, static_argnums=2)(jax.random.key(0), clip, False)
  return module, moved({"params": variables.get("params", {}), "batch_stats": variables.get("batch_stats", {})}), clip


def moved(variables):
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda leaf: leaf + rng.uniform(-0.02, 0.02, leaf.shape).astype(leaf.dtype), variables)


def train_apply(module, params, stats, clip):
  rngs = {"dropout": jax.random.key(2)}
  return module.apply({"params": params, "batch_stats": stats}, clip, True, rngs=rngs, mutable=["batch_stats"])


def total(tree) -> jax.Array:
  """A scalar that weighs every element of a tree of arrays differently."""
  waves = [jnp.sum(leaf * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape)) for leaf in jax.tree.leaves(tree)]
  return sum(waves, jnp.zeros(()))


def assert_close(tree, expected, tolerance=1e-5):
  """Equal to within a share of the largest magnitude in `expected`."""
  scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(expected))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale), tree, expected)


def test_the_walk_finds_what_is_there():
  names = {cls.__name__ for cls in ALL}
  assert {"TSM", "Stem", "Bottleneck", "ResNet", "MiniResNet", "Recognizer"} <= names
  assert "Insert" not in names


def floats(tree):
  """The arrays of a tree but for choices, numbers of steps and stored signs."""
  return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]


@each(ALL)
@pytest.mark.parametrize(
  ("frames", "dtype", "train"),
  [(1, "float32", True), (1, "bfloat16", False), (3, "float32", False), (3, "bfloat16", True)],
)
def test_shapes_and_dtypes(cls, frames, dtype, train):
  """Parameters and clips in the computation's dtype give an output of that dtype; statistics stay float32."""
  module, clip = make(cls), jax.ShapeDtypeStruct(clip_of(cls, frames=frames).shape, dtype)

  def run(clip):
    variables = module.init(jax.random.key(0), clip.astype("float32"), False)
    params = jax.tree.map(lambda p: p.astype(dtype), variables.get("params", {}))
    stats = variables.get("batch_stats", {})
    if train:
      return variables, *train_apply(module, params, stats, clip)
    return variables, module.apply({"params": params, "batch_stats": stats}, clip, False), stats

  room = cls.__module__.split(".")[1]
  try:
    variables, output, changed = jax.eval_shape(run, clip)
  except InputError:
    assert room in ("inputs", "networks"), "a plug-in or backbone takes any number of frames"
    assert frames == 1, "three frames suit every input and network"
    return
  assert all(leaf.dtype == jnp.float32 for leaf in floats((variables, changed)))
  assert all(leaf.dtype == dtype for leaf in floats(output))
  if room == "plugins":
    assert output.shape == clip.shape
  elif room == "networks":
    assert isinstance(output, Output)
    assert output.logits is None or output.logits.shape == (2, ARGUMENTS["num_classes"])
    assert output.features.shape[0] == 2
    assert output.features.ndim == 2
  else:
    assert output.ndim == 5
    assert output.shape[0] == 2
    if room == "backbones":
      assert output.shape[1] == frames


@each(ALL)
def test_evaluation(cls):
  """Deterministic, the same jitted as eager, and no clip sees another one of its batch."""
  module, variables, clip = case(cls)

  @jax.jit
  def run(variables, clip):
    def first(clip):
      output = module.apply(variables, clip, False)
      return total(jax.tree.map(lambda leaf: leaf[0], output)), output

    (_, output), gradient = jax.value_and_grad(first, has_aux=True)(clip)
    return output, gradient

  output, gradient = run(variables, clip)
  jax.tree.map(np.testing.assert_array_equal, run(variables, clip)[0], output)
  assert_close(module.apply(variables, clip, False), output)
  assert np.abs(gradient[0]).max() > 0
  np.testing.assert_array_equal(gradient[1], 0)
  other, _ = run(variables, clip.at[1].add(1.0))
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b[0]), other, output)


@each(ALL)
@pytest.mark.parametrize("frames", [1, 3])
def test_gradients_are_finite(cls, frames):
  module, variables, _ = case(cls)
  clip = clip_of(cls, frames=frames)

  @jax.jit
  def gradients(params, clip):
    run = functools.partial(train_apply, module)
    return jax.grad(lambda params, clip: total(run(params, variables["batch_stats"], clip)[0]), (0, 1))(params, clip)

  try:
    of_params, of_clip = gradients(variables["params"], clip)
  except InputError:
    assert frames == 1
    assert cls not in ROOMS["plugins"] + ROOMS["backbones"]
    return
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((of_params, of_clip)))
  if frames > 1:
    assert np.abs(of_clip).max() > 0
    moved = [np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(of_params)]
    assert all(moved), "a parameter without effect"


@each(WITH_REMAT)
def test_remat_changes_nothing(cls):
  """In float64: float32 rounds differently when recomputed, and a ReLU at its kink then has another gradient."""
  _, variables, clip = case(cls)

  def run(module):
    def loss(params):
      output, changed = train_apply(module, params, variables["batch_stats"], clip)
      return total(output), (output, changed)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])

  with jax.enable_x64(True):
    variables, clip = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (variables, clip))
    (_, kept), plain_gradients = run(make(cls))
    (_, recomputed), gradients = run(make(cls, remat=True))
    assert_close(recomputed, kept)
    assert_close(gradients, plain_gradients)


@each([cls for cls in ROOMS["backbones"] if not hasattr(cls, "frames_per_segment")])
def test_an_image_is_a_clip_of_one_frame(cls):
  module, variables, _ = case(cls)
  clip = clip_of(cls, frames=1)
  run = jax.jit(lambda x: module.apply(variables, x, False))
  assert_close(run(clip[:, 0]), run(clip)[:, 0])


def places_of(backbone: type[nn.Module]) -> tuple[Place, ...]:
  """The places of its blocks."""
  return getattr(importlib.import_module(backbone.__module__), "PLACES", CONVOLUTIONAL)


class Probe(nn.Module):
  """A plug-in with a parameter that differs from site to site."""

  @nn.compact
  def __call__(self, x, train):
    return x * (1 + self.param("probe", nn.initializers.normal(), ()))


@each(WITH_INSERTS)
def test_inserts_leave_the_backbone_alone(cls):
  """Every block has each place; each site its own parameter; base paths and same-seed values stay as they were."""
  clip = clip_of(cls)
  plain = flatten_dict(make(cls).init(jax.random.key(0), clip, False), sep="/")
  places = places_of(cls)
  full = make(cls, inserts=tuple(Insert(Probe(), place) for place in (*places, "before")))
  variables = full.init(jax.random.key(0), clip, False)
  mixed = flatten_dict(variables, sep="/")
  for path, value in plain.items():
    np.testing.assert_array_equal(mixed[path], value, err_msg=path)
  sites = {path: float(value) for path, value in mixed.items() if path not in plain}
  assert all(path.endswith("_Probe/probe") or path.endswith("before_Probe_2/probe") for path in sites)
  assert len(set(sites.values())) == len(sites)
  blocks = {path.removesuffix("before_Probe/probe") for path in sites if path.endswith("before_Probe/probe")}
  assert len(sites) == (len(places) + 1) * len(blocks) > 0

  def loss(params):
    return total(full.apply({**variables, "params": params}, clip, False))

  gradients = flatten_dict(jax.jit(jax.grad(loss))(moved(variables["params"])), sep="/")
  idle = [path for path in sites if gradients[path.removeprefix("params/")] == 0]
  assert not idle, "inserts that do nothing"


def outline(module, clip):
  """Shape and dtype of the output, and of every variable by path."""
  output, variables = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), clip, False))
  return output, flatten_dict(variables, sep="/")


WHOLE = [cls for cls in WITH_INSERTS if not required(cls) and cls.__name__ not in ("Block", "Stage")]
"""Backbones; their blocks and stages are tested as parts of them."""


@each(ROOMS["plugins"])
def test_plugins_fit_every_place_of_every_backbone(cls):
  """All places at once; but for the first stage of VGG: it has no stem, so that three channels enter there."""
  for backbone in WHOLE:
    stages = (2, 3, 4, 5) if backbone.__module__.endswith("vgg") else "all"
    inserts = tuple(Insert(make(cls), place, stages) for place in places_of(backbone))
    assert hash(inserts) == hash(tuple(Insert(make(cls), place, stages) for place in places_of(backbone)))
    plain, full = bare(backbone), outline(make(backbone, inserts=inserts), clip_of(backbone))
    assert full[0] == plain[0]
    assert set(plain[1]) <= set(full[1])


@functools.cache
def bare(backbone: type[nn.Module]):
  return outline(make(backbone), clip_of(backbone))
