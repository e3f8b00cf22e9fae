"""A run that an older version trained (commit b55fd5c, stopped by SIGTERM after step 10 of 12): opened and resumed.

files/older_run.tar.gz holds its folder, its data set, and the averaged variables of the same training not stopped.
"""

import pathlib
import subprocess
import sys
import tarfile

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests.xla import xla_flags
from vidjax.run.checkpoint import load_variables
from vidjax.run.older import updated
from vidjax.run.opened import open_run

ARCHIVE = pathlib.Path(__file__).parent / "files" / "older_run.tar.gz"
FLAGS = ("data.name=folder/tiny", "sampler.num_segments=3", "transforms[0].size=8", "test.size=8", "test.short_side=8")
FLAGS += ("model.backbone.widths=(8,8,8,8)", "train.batch_size=4", "train.epochs=4", "train.log_every=1")
FLAGS += ("train.evaluate_every=2", "train.checkpoint_every=2", "train.ema_decay=.9", "model.dropout=0.5")


@pytest.fixture
def root(tmp_path):
  with tarfile.open(ARCHIVE) as archive:
    archive.extractall(tmp_path, filter="data")
  return tmp_path


def test_it_opens(root):
  run = open_run(root / "run", data_dir=str(root / "data"))
  assert (run.step, run.class_names) == (10, ["left", "right"])
  output = run.network.apply(run.variables, np.zeros((1, *run.clip_shape), np.float32), False)
  assert np.isfinite(output.logits).all()


@pytest.mark.slow
def test_it_is_resumed(root, environment):
  line = [sys.executable, "-m", "vidjax.train", "--config=configs/quickstart.py", f"--workdir={root / 'run'}"]
  line += [f"--config.data.dir={root / 'data'}", *(f"--config.{flag}" for flag in FLAGS)]
  done = subprocess.run(
    line, env={**environment, "XLA_FLAGS": xla_flags()}, capture_output=True, text=True, timeout=200
  )
  assert done.returncode == 0, done.stderr
  assert "is resumed after step 10 of 12" in done.stdout
  variables, step = load_variables(root / "run", "last")
  assert step == 12
  with np.load(root / "expected.npz") as expected:
    flat = flatten_dict(dict(variables), sep="/")
    assert set(flat) == set(expected)
    for path, x in flat.items():
      np.testing.assert_allclose(x, expected[path], rtol=1e-4, atol=1e-5, err_msg=path)


def test_what_was_renamed_is_found():
  config = {"normalise": {"make": "vidjax.train.device_augment.Normalise"}, "device_transforms": [{"make": "a.B"}]}
  config |= {"blend": {"make": "vidjax.train.multitask.Separate", "first": "projection", "share": 0.5}}
  found = updated(config)
  assert found["normalise"]["make"] == "vidjax.apply.device_augment.Normalise"
  assert found["device_transforms"] == [{"make": "a.B"}]
  assert found["blend"] == {"make": "vidjax.train.multitask.Weighted", "weights": {}}
  assert jax.tree.leaves(found)
