"""`init.weights` of a config through the real training command."""

import hashlib
import shutil

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests.weights.released import shapes_of
from vidjax.backbones.resnet import MiniResNet
from vidjax.models import MODELS
from vidjax.networks.recognizer import Recognizer
from vidjax.run.checkpoint import load_variables
from vidjax.weights.export import export
from vidjax.weights.read import read_tensors


@pytest.fixture
def file(tmp_path, monkeypatch):
  """A checkpoint of the fixture command's backbone with a classifier of seven classes; its copy is x3d_m's file."""
  rng = np.random.default_rng(0)
  shapes = shapes_of(Recognizer(MiniResNet((8, 8, 8, 8)), 7))
  variables = jax.tree.map(lambda x: rng.uniform(0.1, 1, x.shape).astype(np.float32), shapes)
  export(variables, tmp_path / "image.safetensors")
  monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path / "cache"))
  address = MODELS["x3d_m"].address
  place = tmp_path / "cache" / hashlib.sha256(address.encode()).hexdigest()[:12] / "X3D_M.pyth"
  place.parent.mkdir(parents=True)
  shutil.copy(tmp_path / "image.safetensors", place)
  return tmp_path / "image.safetensors", flatten_dict(variables["params"], sep="/")


@pytest.mark.slow
def test_training_starts_from_the_checkpoint(file, train, tmp_path):
  """With a learning rate of zero all parameters stay the checkpoint's, and those of the new classifier fresh."""
  path, expected = file
  flags = [f"--config.init.weights={path}", "--config.init.new=('classifier',)", "--config.train.ema_decay=0.9"]
  flags += ["--config.schedule.learning_rate=0.0", "--config.train.epochs=1"]
  output = train(tmp_path / "run", *flags)
  line = f"{path}: loaded {len(expected) - 2 + 18} arrays, 0 of them adapted; 2 start anew (classifier); 2 of"
  assert any(entry.startswith(line) for entry in output.splitlines()), output
  report = (tmp_path / "run/weights_report.txt").read_text().splitlines()
  assert report[0] in output
  assert "  new params/classifier/kernel" in report
  params = flatten_dict(load_variables(tmp_path / "run")[0]["params"], sep="/")
  for name in expected:
    if name.startswith("classifier"):
      assert params[name].shape[-1] == 2
    else:
      np.testing.assert_allclose(params[name], expected[name], rtol=1e-6)
  assert np.abs(params["classifier/kernel"]).max() < 0.01
  assert "start anew" not in train(tmp_path / "run", *flags), "a run that goes on reads no checkpoint but its own"


@pytest.mark.slow
def test_what_does_not_fit_is_one_line(file, train, tmp_path):
  path, _ = file
  tsm = {
    f"base_model.{name.replace('layer2.0.conv1.', 'layer2.0.conv1.net.')}": x for name, x in read_tensors(path).items()
  }
  np.savez(tmp_path / "tsm.npz", **tsm)
  shifted = (f"--config.init.weights={tmp_path}/tsm.npz", "--config.init.new=('classifier',)")
  for number, (flags, words) in enumerate(
    (
      ((f"--config.init.weights={path}",), ("classifier/kernel: fc.weight: wanted (8, 2), found (7, 8)",)),
      (
        shifted,
        ("tsm.npz is of another network: base_model.layer2.0.conv1.net.weight lies", "network shifts all blocks"),
      ),
      (("--config.init.weights=no.pth",), ("no.pth: no such file",)),
      (("--config.init.weights=x3d_m",), ("X3D_M.pyth ", "classifier/kernel: fc.weight: wanted (8, 2)")),
      ((f"--config.init.weights={path}", "--config.init.workdir=runs/x"), ("init.workdir=runs/x", "one of them")),
    )
  ):
    output = train(tmp_path / f"run{number}", *flags, code=2)
    (line,) = (line for line in output.splitlines() if line.startswith("error: "))
    assert all(word in line for word in words), line
    assert ("x3d_m: licence Apache-2.0 (https://" in output) == ("x3d_m" in flags[0])
