"""Pictures of representations: colours, scales, whose parameters, and the command on files good and bad."""

import re
import subprocess
import sys
import types

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny_run import write_video
from vidjax.analyse import modes
from vidjax.analyse.modes import representations as mode
from vidjax.analyse.representations import (
  colour_wheel,
  flow_colours,
  length,
  modules,
  of_runs,
  represent,
  save_representations,
  signed,
  stretched,
  trained_inputs,
)
from vidjax.apply.device_augment import Normalise
from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import InputError
from vidjax.inputs.flow import Flow
from vidjax.inputs.mbpm import MBPM
from vidjax.inputs.pwtp import PWTP
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.inputs.series import Series
from vidjax.inputs.tsp import TSP
from vidjax.networks.bqn import BQN
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.two_stream import TwoStream

BACKBONE = MiniResNet(widths=(4, 4, 4, 4))


@pytest.fixture(scope="module")
def square():
  """Two segments of 6 frames in which a white square moves right by 2 pixels a frame on a still texture."""
  texture = np.random.default_rng(0).integers(60, 120, (32, 40, 1)).astype(np.uint8).repeat(3, -1)
  texture = cv2.GaussianBlur(texture, (5, 5), 1.5)
  segments = np.stack([[texture] * 6] * 2)
  for t in range(6):
    segments[:, t, 10:20, 4 + 2 * t : 14 + 2 * t] = 255
  return segments


@pytest.fixture(scope="module")
def rows(square):
  return {row.title.replace("\n", " "): row for row in represent(square, Normalise(), steps=40)}


def test_every_representation_has_a_picture_of_every_segment(rows, square):
  names = ["frames", "frame mean", "Busy", "Busy as flow", "Quiet", "static appearance", "dynamic appearance"]
  names += ["squeezed image 1", "squeezed image 2", "dynamic image", "RGB difference", "optical flow", "TVNet"]
  assert list(rows) == [*names, "persistent appearance"]
  for row in rows.values():
    assert row.images.shape == (2, 32, 40, 3)
    assert row.images.dtype == np.uint8
  np.testing.assert_array_equal(rows["frames"].images, square[:, 0])
  np.testing.assert_allclose(rows["frame mean"].images, square.mean(1), atol=0.5)
  still = rows["Busy as flow"].images[:, :4, :, :]  # no motion is white, and grey motion has one hue or its opposite
  assert still.min() > 240
  assert rows["Busy as flow"].images.min() < 60
  assert modules(16)[1].frames == 16 == length({}, 16)


@pytest.mark.parametrize("name", ["Quiet", "squeezed image 1", "squeezed image 2"])
def test_grey_stays_grey(rows, name):
  """Also what was normalised channel by channel."""
  assert np.ptp(rows[name].images.astype(int), axis=-1).max() <= 2
  assert rows[name].images.std() > 10


@pytest.mark.parametrize("name", ["Busy", "dynamic appearance", "dynamic image", "RGB difference"])
def test_what_moves_stands_out_of_grey(rows, name):
  """After the fit, for PWTP: at random it leaves the texture in the residual."""
  away = np.abs(rows[name].images.astype(int) - 127).max(-1)
  assert np.median(away[:, 24:]) < 12
  assert np.percentile(away[:, 8:22, 2:28], 95) > 60


def test_the_square_moves_in_the_colour_of_its_direction(rows):
  expected = flow_colours(np.array([1.0, 0.0]))
  np.testing.assert_array_equal(expected, [255, 0, 0])
  red, green, blue = np.median(rows["optical flow"].images[:, 12:18, 6:12].reshape(-1, 3), axis=0)
  assert red == 255
  assert max(green, blue) < 80
  most = float(re.search(r"at\n([\d.]+) pixels", rows["optical flow"].note)[1])
  assert most == pytest.approx(2, abs=0.5)


def test_rest_is_white_and_the_wheel_a_disc():
  np.testing.assert_array_equal(flow_colours(np.zeros((2, 2))), 255)
  wheel = colour_wheel(65)
  assert wheel[32, 32].tolist() == [255, 255, 255, 255]
  assert wheel[0, 0, 3] == 0
  np.testing.assert_array_equal(wheel[32, 64], [255, 0, 0, 255])


def test_scales():
  x = np.linspace(-2, 1, 1001)
  np.testing.assert_array_equal(signed(x)[[0, -1]], [0, 192])
  assert signed(np.zeros(3)).tolist() == [128, 128, 128]
  assert stretched(x)[[0, 500, -1]].tolist() == [0, 128, 255]
  assert not stretched(np.full(3, 7.0)).any()


def variables_of(network, clip=(1, 6, 16, 16, 3)):
  shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros(clip), False))
  return jax.tree.map(lambda x: np.full(x.shape, 0.5, x.dtype), shapes)


def test_trained_inputs_are_found_wherever_they_sit():
  chain = Recognizer(BACKBONE, 3, Series((RGBDifference(3, stack=False), TSP(2, 1), TSP(2, 1))))
  found = trained_inputs(chain, variables_of(chain, (1, 12, 16, 16, 3)))
  assert set(found) == {"Series", "RGBDifference", "RGBDifference/TSP", "RGBDifference/TSP/TSP"}
  assert found["RGBDifference/TSP"][1]["params"]["mix"]["kernel"].shape == (2, 2)
  two = TwoStream((Recognizer(BACKBONE, 3), Recognizer(BACKBONE, 3, PWTP(3, kernel=3))), 3)
  module, own = trained_inputs(two, variables_of(two))["PWTP"]
  assert module.frames == 3
  assert set(own["batch_stats"]) == {"bn0"}
  bqn = BQN(BACKBONE, 3, mbpm=MBPM(kernel=5), lateral_kernels=(3,))
  assert set(trained_inputs(bqn, variables_of(bqn, (1, 6, 32, 32, 3)))["MBPM"][1]["params"]) == {"spatial", "temporal"}
  assert trained_inputs(Recognizer(BACKBONE, 3), {"params": {}}) == {}


def test_a_runs_own_parameters_are_drawn(square):
  module = PWTP(3, kernel=3, stride=4)
  variables = module.init(jax.random.key(5), jnp.zeros((1, 3, 32, 40, 3)), False)
  variables["params"]["subspace"] = {  # the constant direction, whose residual is 0 on average over T
    "kernel": jnp.zeros_like(variables["params"]["subspace"]["kernel"]),
    "bias": jnp.ones(3),
  }
  trained = {"PWTP": (module, {kind: variables[kind] for kind in ("params", "batch_stats")})}
  assert length({"PWTP": (PWTP(8), {})}) == 8 > length(trained) == 6
  rows = {row.title: row for row in represent(square, Normalise(), trained, steps=0)}
  assert rows["static\nappearance"].note == "PWTP, T 3, D 1\ntrained"
  away = np.abs(rows["dynamic\nappearance"].images.astype(int) - 127).max(-1)
  assert away.max() <= 1
  mean = represent(square[:, :3].mean(1, keepdims=True).round().astype(np.uint8).repeat(6, 1), Normalise(), steps=0)[4]
  difference = rows["static\nappearance"].images.astype(int) - mean.images
  assert np.abs(difference).mean() < 3  # Quiet of a clip that stands still is that clip
  assert "untrained" in rows["squeezed image 1"].note


def test_an_input_that_several_runs_have_trained_is_drawn_of_each(square):
  """As the activations of Table 3.1 side by side (thesis Fig. 3.5)."""

  def run(*activations):
    network = Recognizer(BACKBONE, 3, TSP(3, 1, activations=activations))
    made = TSP(3, 1).init(jax.random.key(3), jnp.zeros((1, 3, 16, 16, 3)), False)
    return trained_inputs(network, {"params": {"representation": made["params"]}})

  plain = Recognizer(BACKBONE, 3, RGBDifference(3))
  trained = of_runs(
    {"a": run("sigmoid", "relu"), "b of c": run("tanh", "tanh"), "d": trained_inputs(plain, {"params": {}})}
  )
  assert set(trained) == {"TSP of a", "TSP of b of c", "RGBDifference"}
  assert length(trained) == 6
  rows = [row for row in represent(square, Normalise(), trained, steps=0) if row.title == "squeezed image 1"]
  assert [row.note for row in rows] == ["TSP, K 3, D 1\ntrained, a", "TSP, K 3, D 1\ntrained, b of c"]
  assert (rows[0].images != rows[1].images).any()


def test_a_tsp_trained_on_flow_is_drawn_on_flow(square):
  """And not on frames, of which it knows nothing; those have one that is fitted to the clip."""
  network = Recognizer(BACKBONE, 3, Series((Flow(4, stack=False), TSP(3, 1))))
  trained = trained_inputs(network, variables_of(network, (1, 4, 16, 16, 3)))
  assert length({"Flow": trained["Flow"], "Flow/TSP": (TSP(8, 1), {})}) == 9
  rows = {row.title: row for row in represent(square, Normalise(), trained, steps=1)}
  assert "fitted" in rows["squeezed image 1"].note
  assert rows["squeezed flow 1"].note == "TSP of flow, K 3, D 1\ntrained"
  assert not [row for row in rows.values() if row.note.endswith("\ntrained") and "flow" not in row.title]
  image = rows["squeezed flow 1"].images
  assert image.shape == (2, 32, 40, 3)
  red, green, blue = np.median(image[:, 12:18, 6:12].reshape(-1, 3), axis=0)  # the square moves to the right
  assert red > 200
  assert max(green, blue) < 120
  plain = trained_inputs(Recognizer(BACKBONE, 3, TSP(3, 1)), variables_of(Recognizer(BACKBONE, 3, TSP(3, 1))))
  rows = {row.title: row for row in represent(square, Normalise(), plain, steps=1)}
  assert rows["squeezed image 1"].note.endswith("\ntrained")
  assert "squeezed flow 1" not in rows


@pytest.mark.parametrize("shape", [(1, 6, 40, 16), (5, 6, 17, 60)])
def test_a_picture_of_any_shape_is_drawn(tmp_path, shape):
  segments = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
  rows = represent(segments, Normalise(), steps=0) if shape[0] == 1 else [represent_one(segments)]
  save_representations(tmp_path / "all.png", rows, np.arange(shape[0]), "漢_a$b$.mp4")
  assert min(cv2.imread(str(tmp_path / "all.png")).shape[:2]) > 100


def represent_one(segments):
  from vidjax.analyse.representations import Row

  return Row("frames", "trained, $x_$", segments[:, 0])


def test_every_module_is_drawn():
  from vidjax.analyse.representations import DRAW

  assert {type(module).__name__ for module in modules()} == set(DRAW)


def test_several_runs_are_drawn_in_one_picture(monkeypatch):
  """Each with what it has trained; an input that two runs have is named by them."""

  def run(module, number, normalise=None):
    network = Recognizer(BACKBONE, 3, module)
    recipe = types.SimpleNamespace(stream=types.SimpleNamespace(gives={"colour"}))
    variables = {"params": {"representation": {"number": number}}}
    values = {"recipe": recipe, "network": network, "variables": variables}
    return types.SimpleNamespace(**values, normalise=normalise or Normalise(), crop_sizes={"short_side": 48})

  runs = {"a": run(MBPM(), 1), "b": run(PWTP(6), 2), "c": run(MBPM(), 3), "x3d": run(MBPM(), 4, Normalise((0.45,) * 3))}
  drawn = []

  def drawer(normalise, trained, short_side, *rest):
    drawn.append((short_side, {name: variables["params"]["number"] for name, (_, variables) in trained.items()}))

  def draw(*folders):
    names = {"checkpoint": "best", "trust": False, "short_side": None, "segments": 4, "frames": 6, "steps": 0}
    values = types.SimpleNamespace(workdir=list(folders), **names)
    for module in (modes, mode):
      monkeypatch.setattr(module, "flags", types.SimpleNamespace(FLAGS=values))
    mode.run(["film.mp4"])

  monkeypatch.setattr("vidjax.run.opened.open_run", lambda folder, *_, **__: runs[folder])
  monkeypatch.setattr("vidjax.analyse.film_representations.drawer", drawer)
  monkeypatch.setattr(mode, "draw_each", lambda *_: None)
  draw("a", "b", "c")
  assert drawn == [(48, {"MBPM of a": 1, "PWTP": 2, "MBPM of c": 3})]
  with pytest.raises(InputError, match="x3d normalises frames otherwise than a"):
    draw("a", "x3d")


def analyse(*arguments: str) -> subprocess.CompletedProcess[str]:
  line = [sys.executable, "-m", "vidjax.analyse", "representations", *arguments]
  return subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_the_command_draws_good_files_and_names_broken_ones(tmp_path):
  films = [write_video(tmp_path / name, i) for i, name in enumerate(("a.mp4", "b.mp4"))]
  (tmp_path / "notes.txt").write_text("no video")
  result = analyse(*map(str, (films[0], tmp_path / "notes.txt", films[1])), f"--out={tmp_path / 'new'}", "--steps=1")
  assert result.returncode == 2, result.stderr
  assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
    "representations-a.png",
    "representations-b.png",
  ]
  assert "notes.txt is not a video" in result.stderr
  assert "Traceback" not in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ((), "no video file is named"),
    (("a.mp4",), "--out=DIR is missing"),
    (("a.mp4", "--out=pictures", "--workdir=nowhere"), "nowhere is not a run's folder"),
  ],
)
def test_the_command_names_what_is_wrong(arguments, message):
  result = analyse(*arguments)
  assert result.returncode == 2
  assert message in result.stderr
  assert "Traceback" not in result.stderr
