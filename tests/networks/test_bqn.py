"""Busy-Quiet Net against the released code and the tables of the thesis."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests.weights.released import fresh, shapes_of
from vidjax.analyse.gradcam import grad_cam, map_names
from vidjax.analyse.module_costs import all_module_costs
from vidjax.backbones.inception_resnet import InceptionResNetV2
from vidjax.backbones.mobilenet import TSM_BLOCKS, MobileNetV2
from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.backbones.x3d import X3D
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.mbpm import MBPM, quiet_size
from vidjax.networks.bqn import BQN, _Connection
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.weights.export import torch_tensors
from vidjax.weights.load import load_weights

SHIFT = (Insert(TSM(), "before"),)
MINI = MiniResNet((8, 8, 8, 8), inserts=SHIFT)
RELEASED = {"quiet_form": "first", "to_quiet": "identity", "dropout": 0.0}
RELEASED_X3D = {
  "to_quiet": "conv",
  "to_busy": "conv",
  "quiet_form": "first",
  "shared_classifier": False,
  "hidden": 2048,
  "consensus": "features",
}


def clips(*shape: int) -> jax.Array:
  return jax.random.normal(jax.random.key(1), shape)


@functools.cache
def made(**options):
  """A small network with random parameters, so that its connections pass something, and clips."""
  network = BQN(**{"backbone": MINI, "num_classes": 4, "mbpm": MBPM(kernel=3), "lateral_kernels": (3,), **options})
  x, rng = clips(2, 6, 32, 40, 3), np.random.default_rng(0)
  shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), x, False))
  return network, jax.tree.map(lambda v: rng.uniform(0.05, 0.2, v.shape).astype(v.dtype), shapes), x


def test_golden_network(shared_golden):
  golden = np.load(shared_golden / "bqn_r50_thesis_w8_scale05.npz")
  network = BQN(ResNet(50, width=8, inserts=SHIFT), 7, quiet_scale=0.5, **RELEASED)
  x = golden["x_int8"] * golden["x_scale"]
  x = jnp.moveaxis(jnp.asarray(x.reshape(2, 9, 3, 128, 128)), 2, -1)
  weights = {key[2:]: golden[key] for key in golden if key.startswith("w/")}
  variables, report = load_weights(shapes_of(network, size=128, frames=9), weights, network=network)
  assert sorted(report.loaded.values()) == sorted(weights)
  output = jax.jit(functools.partial(network.apply, train=False))(variables, x)
  error = np.abs(output.logits - golden["clip_logits"]).max() / np.abs(golden["clip_logits"]).max()
  assert error < 5e-5, f"relative error {error:.1e}; that of the original is 5e-6"


@pytest.mark.parametrize("file", ["bplc_r50_thesis", "bplc_x3d"])
@pytest.mark.parametrize("direction", ["odd_busy2quiet", "even_quiet2busy"])
def test_golden_connections(file, direction, shared_golden):
  golden = np.load(shared_golden / f"{file}.npz")
  values = {key.partition("/")[2]: golden[key] for key in golden if key.startswith(direction)}
  x3d = file == "bplc_x3d"
  frames = 4

  def maps(name: str) -> np.ndarray:
    x = values[name]
    return np.moveaxis(x, 1, -1) if x3d else np.moveaxis(x.reshape(-1, frames, *x.shape[1:]), 2, -1)

  source, target = ("path_f", "path_c") if direction.startswith("odd") else ("path_c", "path_f")
  kernel = 7 if source == "path_c" else None
  connection = _Connection(kernel, 0.9, "conv" if x3d else "identity")
  way = "w/down" if source == "path_f" else "w/up"
  bn = f"{way}.2" if x3d else f"{way}.1"
  params = {"bn": {"scale": values[f"{bn}.weight"], "bias": values[f"{bn}.bias"]}}
  stats = {"bn": {"mean": values[f"{bn}.running_mean"], "var": values[f"{bn}.running_var"]}}
  if x3d:
    params["conv"] = {"kernel": values[f"{way}.1.weight"].transpose(2, 3, 1, 0)}
  if kernel:
    spatial, temporal = values["w/mbpf.conv_s.weight"], values["w/mbpf.conv_t.weight"]
    params["mbpm"] = {
      "spatial": {"kernel": spatial.transpose(2, 3, 1, 0)},
      "temporal": {"kernel": temporal.transpose(2, 1, 0)},
    }
  variables = {"params": params, "batch_stats": stats}
  passed = connection.apply(variables, jnp.asarray(maps(source)), jnp.asarray(maps(target)), False)
  expected = maps(target.replace("path", "out"))
  np.testing.assert_allclose(maps(target) + passed, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
  np.testing.assert_array_equal(maps(source), maps(source.replace("path", "out")))


@pytest.mark.parametrize(
  ("network", "frames", "parameters", "gmac", "thop"),
  [
    (BQN(ResNet(50, inserts=SHIFT), 174, **RELEASED), 24, 47_678_506, 60.26, 60.22),
    (BQN(ResNet(50, inserts=SHIFT), 174, **RELEASED), 48, 47_678_506, 120.5, 120.4),
    (BQN(X3D(), 174, **RELEASED_X3D), 48, 7_083_660, 10.18, 9.715),
    (BQN(ResNet(101, inserts=SHIFT), 174, **RELEASED), 48, 86_152_234, 229.2, 229.3),
  ],
  ids=["resnet50", "resnet50_48", "x3d", "resnet101"],
)
def test_sizes_are_the_published_ones(network, frames, parameters, gmac, thop):
  x = jax.ShapeDtypeStruct((1, frames, 256, 256, 3), jnp.float32)
  variables = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, False), x)
  assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == parameters
  costs = all_module_costs(network, (frames, 256, 256, 3))
  macs = costs["real"][0].macs
  # The input's MBPM takes the differences of frames first, and so filters a third of the frames the released one does.
  macs += 2 * frames / 3 * 256**2 * 3 * 81 + frames / 3 * 256**2 * 3 * 3
  assert macs / 1e9 == pytest.approx(gmac, rel=0.005)
  assert costs["thop"][0].macs / 1e9 == pytest.approx(thop, rel=0.002)


def test_pathways_start_apart():
  """Connections pass nothing at first (their BN's scale and bias are 0), and the scores are the mean of both paths'."""
  network, variables, x = made()
  connections = [name for name in variables["params"] if "_to_" in name]
  assert connections == ["res2_block0_to_quiet", "res3_block0_to_busy", "res4_block0_to_quiet"]
  initial = jax.jit(lambda: {name: network.init(jax.random.key(0), x, False)["params"][name] for name in connections})()
  for name in connections:
    assert not any(leaf.any() for leaf in jax.tree.leaves(initial[name]["bn"]))
  params = {**variables["params"], **{name: {**initial[name]} for name in connections}}
  output = jax.jit(functools.partial(network.apply, train=False))({**variables, "params": params}, x)
  alone, _, _ = made(lateral="none")
  kept = {
    kind: {name: value for name, value in tree.items() if name not in connections} for kind, tree in variables.items()
  }
  apart = jax.jit(functools.partial(alone.apply, train=False))(kept, x)
  np.testing.assert_allclose(output.logits, apart.logits, rtol=1e-5)
  mean = (output.aux["busy_logits"] + output.aux["quiet_logits"]) / 2
  np.testing.assert_allclose(output.logits, mean, rtol=1e-6)


@pytest.mark.parametrize(
  ("design", "reaches"),
  [
    ("none", {"busy": {"busy"}, "quiet": {"quiet"}}),
    ("LC-I", {"busy": {"busy"}, "quiet": {"busy", "quiet"}}),
    ("LC-II", {"busy": {"busy", "quiet"}, "quiet": {"quiet"}}),
    ("LC-III", {"busy": {"busy", "quiet"}, "quiet": {"busy", "quiet"}}),
    ("BPLC", {"busy": {"busy", "quiet"}, "quiet": {"busy", "quiet"}}),
    ("LC-V", {"busy": {"busy", "quiet"}, "quiet": {"busy", "quiet"}}),
  ],
)
def test_what_reaches_which_pathway(design, reaches):
  """Scores of one pathway that change with the parameters of the other tell the designs apart (Fig. 5.5)."""
  network, variables, x = made(lateral=design)
  score = jax.jit(lambda params: network.apply({**variables, "params": params}, x, False).aux)
  before = score(variables["params"])
  for source in ("busy", "quiet"):
    kernel = variables["params"][source]["stem"]["conv"]["kernel"]
    stem = {**variables["params"][source]["stem"], "conv": {"kernel": 1.5 * kernel}}
    after = score({**variables["params"], source: {**variables["params"][source], "stem": stem}})
    for target, expected in reaches.items():
      change = np.abs(after[f"{target}_logits"] - before[f"{target}_logits"]).max()
      assert (change > 0) == (source in expected), (source, target, change)
  filters = [path for path, value in variables["params"].items() if "_to_" in path and "mbpm" in value]
  assert bool(filters) == (design in ("LC-II", "LC-III", "BPLC"))
  assert all(path.endswith("to_busy") for path in filters)


def test_the_direction_alternates_over_all_blocks():
  """Blocks 1 of res3 and res4 are the 4th and the 6th pair: pairs without a connection count (Eq. 5.5)."""
  network = BQN(ResNet(18), 4, lateral_stages=(3, 4), lateral_blocks=(1,), lateral_kernels=(3,))
  names = [name for name in shapes_of(network, size=64, frames=3)["params"] if "_to_" in name]
  assert sorted(names) == ["res3_block1_to_busy", "res4_block1_to_busy"]
  first = BQN(ResNet(50, width=4), 4, lateral_blocks=(0,), lateral_kernels=(3,))  # pairs 1, 4, 8 and 14 of Table 5.5
  names = [name for name in shapes_of(first, size=64, frames=3)["params"] if "_to_" in name]
  assert sorted(names) == ["res2_block0_to_quiet", "res3_block0_to_busy", "res4_block0_to_busy", "res5_block0_to_busy"]


def test_lc_iii_has_a_convolution_each_way():
  network = BQN(MINI, 4, lateral="LC-III", lateral_kernels=(3,), to_quiet="identity")
  params = shapes_of(network, size=32, frames=3)["params"]
  assert set(params["res3_block0_to_quiet"]) == {"conv", "bn"}
  assert set(params["res3_block0_to_busy"]) == {"mbpm", "conv", "bn"}


@pytest.mark.parametrize(("frozen_bn", "live"), [("all_but_first", {"quiet/stem"}), ("all", set())])
def test_partial_bn_freezes_the_connections_and_the_busy_stem(frozen_bn, live):
  network, variables, x = made(backbone=MINI.clone(frozen_bn=frozen_bn), dropout=0.0)
  _, changed = jax.jit(lambda v: network.apply(v, x, True, mutable=["batch_stats"]))(variables)
  before = flatten_dict(variables["batch_stats"], sep="/")
  after = flatten_dict(changed["batch_stats"], sep="/")
  moved = {path for path, value in after.items() if not np.array_equal(value, before[path])}
  assert moved == {f"{place}/bn/{leaf}" for place in live for leaf in ("mean", "var")}


def test_the_size_of_quiet_in_pixels():
  """192 of 224 pixels (Table 5.8), which the factor .857142 makes 191; longer sides in proportion."""
  assert quiet_size((224, 224), 0.857142) == [191, 191]
  assert quiet_size((224, 224), 0.625, 192) == [192, 192]
  network = BQN(MINI, 4, quiet_size=24, lateral="none", mbpm=MBPM(kernel=3))

  def run(x):
    return network.init_with_output(jax.random.key(0), x, False, capture_intermediates=True)[1]

  stem = jax.eval_shape(run, jnp.zeros((1, 3, 32, 48, 3)))["intermediates"]["quiet"]["stem"]["__call__"][0]
  assert stem.shape == (1, 1, 12, 18, 8)
  with pytest.raises(ConfigError, match="quiet_size=0"):
    shapes_of(network.clone(quiet_size=0))


@pytest.mark.parametrize("fusion", ["average", "average_features", "max", "concatenate"])
@pytest.mark.parametrize("shared", [True, False])
def test_fusion(fusion, shared):
  network, variables, x = made(fusion=fusion, shared_classifier=shared, lateral="none")
  output, captured = jax.jit(lambda v: network.apply(v, x, False, capture_intermediates=True))(variables)
  stages = captured["intermediates"]
  maps = [np.asarray(stages[path]["res4"]["block0"]["__call__"][0]) for path in ("busy", "quiet")]
  busy, quiet = (x.mean((2, 3)) for x in maps)
  heads = variables["params"]

  def score(name, value):
    return value @ np.asarray(heads[name]["kernel"]) + np.asarray(heads[name]["bias"])

  if fusion == "average_features":
    expected = score("classifier", (busy + quiet) / 2)
  elif fusion == "concatenate":
    expected = score("classifier", np.concatenate([busy, quiet], -1))
  else:
    names = ("classifier", "classifier") if shared else ("classifier_busy", "classifier_quiet")
    scores = score(names[0], busy), score(names[1], quiet)
    expected = np.maximum(*scores) if fusion == "max" else np.mean(scores, 0)
  np.testing.assert_allclose(output.logits, expected.mean(1), rtol=1e-4)


@pytest.mark.parametrize(
  ("options", "shape"),
  [
    ({"quiet_frames": 1}, (1, 6, 33, 47, 3)),
    ({"quiet_frames": 3, "lateral": "LC-III"}, (1, 12, 35, 33, 3)),
    ({"quiet_scale": 1.0, "to_quiet": "mlp"}, (1, 6, 37, 41, 3)),
    ({"backbone": MobileNetV2(0.125, stages=((1, 8, 1, 1), (2, 8, 2, 2)))}, (1, 6, 65, 63, 3)),
    ({"backbone": X3D(1.0, 1.0, stages=((2, 8),)), "consensus": "features", "hidden": 6}, (1, 6, 65, 63, 3)),
    ({"mbpm": MBPM(kernel=5, trainable=False)}, (1, 6, 33, 47, 3)),
  ],
)
def test_other_sizes_and_backbones(options, shape):
  network = BQN(**{"backbone": MINI, "num_classes": 4, "lateral_kernels": (3,), **options})
  out, variables = jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), jnp.zeros(shape), False))
  assert out.logits.shape == out.aux["busy_logits"].shape == (shape[0], 4)
  assert ("mbpm" in variables["params"]) == (options.get("mbpm", network.mbpm).trainable)


def test_grad_cam_explains_busy_and_says_so():
  network, variables, x = made(lateral="none")
  (evidence,) = grad_cam(network, variables, x, np.array([0, 3]))
  assert evidence.shape == (2, 2, 4, 5)
  assert evidence.any()
  assert map_names(network, x.shape) == ("busy",)


def test_one_checkpoint_of_images_fills_both_pathways():
  network = BQN(ResNet(18, width=8, inserts=SHIFT), 4, mbpm=MBPM(kernel=3), lateral_kernels=(3,))
  plain = fresh(BQN(ResNet(18, width=8), 4, lateral="none", mbpm=MBPM(trainable=False)), size=96, frames=3)
  one = {"params": {"backbone": plain["params"]["busy"]}, "batch_stats": {"backbone": plain["batch_stats"]["busy"]}}
  tensors = torch_tensors(one)
  variables, report = load_weights(fresh(network, size=96, frames=3), tensors, network=network, new=("classifier",))
  for path in ("busy", "quiet"):
    jax.tree.map(np.testing.assert_array_equal, variables["params"][path], plain["params"]["busy"])
  assert {path.split("/")[1].rpartition("_to_")[2] for path in report.new} <= {"classifier", "mbpm", "quiet", "busy"}


@pytest.mark.parametrize(
  ("options", "words"),
  [
    ({"lateral": "LC-IV"}, "BQN(lateral='LC-IV') at the top: must be one of BPLC, LC-I"),
    ({"fusion": "sum"}, "must be one of average"),
    ({"to_quiet": "linear"}, "must be one of identity, conv, mlp"),
    ({"quiet_form": "last"}, "must be one of complement, first"),
    ({"consensus": "mean"}, "BQN(consensus='mean')"),
    ({"lateral_stages": (2, 9)}, "BQN(lateral_stages=(2, 9)): MiniResNet has 2, 3, 4, but not 9"),
    ({"lateral_blocks": (0, 7, -1)}, "but not -1, 7"),
    ({"lateral_stages": ()}, "has no such block"),
    ({"quiet_scale": 0.0}, "quiet_scale=0.0"),
    ({"quiet_scale": float("inf")}, "quiet_scale=inf"),
    ({"quiet_frames": -1}, "quiet_frames=-1"),
    ({"dropout": 1.0}, "BQN(dropout=1.0) at the top: must be a number from 0 to below 1"),
    ({"hidden": 0}, "BQN(hidden=0) at the top: must be an int of at least 1 or None"),
    ({"mbpm": MBPM(stride=1)}, "at the top: must be an MBPM of stride 3"),
    ({"lateral_kernels": ()}, "lateral_kernels=()"),
    ({"backbone": InceptionResNetV2()}, "takes ResNet, MiniResNet, X3D or MobileNetV2"),
  ],
)
def test_wrong_options_are_named(options, words):
  network = BQN(**{"backbone": MINI, "num_classes": 4, **options})
  with pytest.raises(ConfigError) as error:
    jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 6, 32, 32, 3)), False))
  assert words in str(error.value)


@pytest.mark.parametrize(
  ("shape", "words"),
  [
    ((1, 8, 32, 32, 3), "sample a multiple of 3"),
    ((1, 1, 32, 32, 3), "1 frames do not fit; sample a multiple of 3"),
    ((1, 6, 17, 4, 3), "MBPM(kernel=9)"),
    ((6, 32, 32, 3), "takes clips"),
    ((1, 6, 12, 12, 3), "MBPM(kernel=7)"),
  ],
)
def test_clips_that_do_not_fit(shape, words):
  with pytest.raises(InputError) as error:
    jax.eval_shape(lambda: BQN(MINI, 4).init(jax.random.key(0), jnp.zeros(shape), False))
  assert words in str(error.value)


def test_odd_sizes_and_a_pixel_that_is_not_finite():
  """Evaluated, it spoils its own clip alone, and shows there."""
  network, variables, _ = made()
  x = np.array(clips(2, 6, 17, 33, 3))
  score = jax.jit(lambda x: network.apply(variables, x, False).logits)
  clean = score(x)
  assert clean.shape == (2, 4)
  assert np.isfinite(clean).all()
  x[0, 4, 3, 4, 0] = np.nan
  np.testing.assert_array_equal(score(x)[1], clean[1])
  assert np.isnan(score(x)[0]).all()


def test_clips_without_motion_leave_finite_gradients():
  network, variables, _ = made()
  rngs = {"dropout": jax.random.key(3)}

  def total(params, x):
    changing = {**variables, "params": params}
    return network.apply(changing, x, True, mutable=["batch_stats"], rngs=rngs)[0].logits.sum()

  gradients = jax.jit(jax.grad(total))
  for value in (0.0, 3.0):
    found = gradients(variables["params"], jnp.full((2, 3, 17, 16, 3), value))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_mobilenet_with_its_shift():
  """MobileNetV2 + TSM, the thesis' third backbone: two of them and what joins them."""
  shift = (Insert(TSM(), "before", blocks=TSM_BLOCKS),)
  network = BQN(MobileNetV2(inserts=shift), 174, to_quiet="identity")
  shapes = shapes_of(network, size=128, frames=3)["params"]
  assert sum(x.size for x in jax.tree.leaves({k: shapes[k] for k in ("busy", "quiet")})) == 2 * 2_223_872
  assert sum("_to_" in name for name in shapes) == 17
