"""Kernels of trained networks: which are found, and what is drawn of them."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.test_bad_input import command
from tests.tiny_run import make_run, write_data
from vidjax.analyse import kernels
from vidjax.analyse.kernels import kernels_of, save_band_pass, save_filters
from vidjax.backbones.resnet import MiniResNet
from vidjax.backbones.x3d import X3D
from vidjax.inputs.mbpm import MBPM, laplacian_of_gaussian
from vidjax.networks.bqn import BQN
from vidjax.networks.recognizer import Recognizer


def variables_of(network, clip):
  shapes = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), jnp.zeros((1, *clip)))
  return jax.tree.map(lambda x: np.arange(x.size, dtype=np.float32).reshape(x.shape), shapes)


def test_the_kernels_of_a_busy_quiet_net(tmp_path):
  """Its input and each lateral connection to the Busy pathway have an MBPM, each pathway has a stem."""
  clip = (6, 32, 32, 3)
  network = BQN(MiniResNet(widths=(4, 4, 4, 4)), 5)
  variables = variables_of(network, clip)
  found = kernels_of(network, variables, clip)
  assert list(found.filters) == ["busy/stem/conv", "quiet/stem/conv"]
  own = variables["params"]
  np.testing.assert_array_equal(found.filters["busy/stem/conv"], own["busy"]["stem"]["conv"]["kernel"])
  assert next(iter(found.band_pass)) == "mbpm"
  assert len(found.band_pass) > 1
  first = found.band_pass["mbpm"]
  np.testing.assert_array_equal(first.before, laplacian_of_gaussian(1.1, 9, network.mbpm.normalise))
  np.testing.assert_array_equal(first.spatial, own["mbpm"]["spatial"]["kernel"][:, :, 0])
  np.testing.assert_array_equal(first.temporal, own["mbpm"]["temporal"]["kernel"][:, 0])
  save_band_pass(tmp_path / "mbpm.png", found.band_pass)
  assert cv2.imread(str(tmp_path / "mbpm.png")) is not None
  below = kernels_of(network, variables, clip, "busy/res2")
  assert not below.band_pass
  assert {*below.filters} == {"busy/res2/block0/conv1", "busy/res2/block0/conv2"}


def test_stems_of_two_convolutions_and_inputs_that_are_held():
  clip = (3, 32, 32, 3)
  network = Recognizer(X3D(), 5, representation=MBPM(trainable=False))
  found = kernels_of(network, variables_of(network, clip), clip)
  assert not found.band_pass
  assert list(found.filters) == ["backbone/stem/conv"]


@pytest.mark.parametrize("shape", [(2, 2, 3, 5), (3, 2, 2, 3, 1), (2, 2, 4, 7)])
def test_filters_are_scaled_to_their_own_largest_weight(shape, tmp_path, monkeypatch):
  sheets = []
  monkeypatch.setattr("matplotlib.axes.Axes.imshow", lambda axes, sheet, **_: sheets.append(sheet))
  filters = np.random.default_rng(0).normal(size=shape).astype("float32")
  save_filters(tmp_path / "f.png", filters, "stem")
  block = kernels.BLOCK
  first = filters[..., 0] if shape[-2] == 3 else filters[..., :1, 0]
  first = np.concatenate(list(first), axis=-2) if len(shape) == 5 else first
  expected = 0.5 + 0.5 * first / np.abs(first).max()
  drawn = sheets[0][: 2 * block : block, : expected.shape[1] * block : block]
  np.testing.assert_allclose(drawn, np.broadcast_to(expected, drawn.shape), rtol=1e-5)


def test_the_command(tmp_path, capsys):
  run = make_run(tmp_path / "run", write_data(tmp_path / "data"))
  out = tmp_path / "new"
  assert command(f"analyse kernels --workdir={run.workdir} --out={out}") == 0
  assert [path.name for path in out.iterdir()] == ["backbone_stem_conv.png"]
  assert capsys.readouterr().out == f"wrote {out / 'backbone_stem_conv.png'}\n"
  for wrong, message in (
    (f"--workdir={run.workdir} --at=head --out={out}", "no kernel of several weights at --at=head"),
    (f"--workdir={run.workdir} --workdir=b --out={out}", "--workdir names 2 runs: name 1"),
    (f"--workdir={run.workdir}", "--out=DIR is missing"),
  ):
    assert command(f"analyse kernels {wrong}") == 2
    assert message in capsys.readouterr().err
