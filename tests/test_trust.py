"""Somebody else's run or data set runs no code of theirs."""

import json

import pytest

from tests.tiny_run import make_run, write_data
from vidjax import digests, trust
from vidjax.data.dataset import open_dataset
from vidjax.errors import InputError
from vidjax.run.opened import open_run


@pytest.fixture
def world(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
  make_run(tmp_path / "run", write_data(tmp_path / "data"))
  return tmp_path


def change(world, **sections):
  path = world / "run" / "config.json"
  config = {**json.loads(path.read_text()), **sections}
  path.write_text(json.dumps(config))
  (world / "run" / digests.FILE).unlink(missing_ok=True)
  return config


@pytest.mark.parametrize(
  "made",
  [
    {"make": "pathlib.Path.touch"},
    {"make": "vidjax.data.write.fill_folder"},
    {"make": "flax.io.rmtree"},
    {"make": "jax.numpy.save"},
    {"make": "vidjax.apply.device_augment.Normalise", "mean": {"make": "os.getcwd"}, "std": (1, 1, 1)},
  ],
)
def test_a_run_makes_only_what_is_meant_to_be_made(world, made):
  config = change(world, normalise=made)
  with pytest.raises(InputError, match=r"config.json runs code from outside vidjax \(.*\), .*add --trust"):
    open_run(world / "run")
  trust.remember(config)  # as training it here does
  trust.check(config, world)
  trust.check(config, world, trusted=True)
  with pytest.raises(InputError, match="outside vidjax"):
    trust.check({**config, "seed": 1}, world)


def test_shipped_parts_need_no_trust(world):
  assert open_run(world / "run").step == 3
  assert not (world / "state").exists()


def test_a_data_set_names_features_of_tfds_alone(world):
  path = next((world / "data").glob("folder/tiny/*/features.json"))
  text = path.read_text()
  path.write_text(text.replace("tensorflow_datasets.core.features.text_feature.Text", "hostile.Text"))
  (path.parent / "digests.json").unlink()
  with pytest.raises(InputError, match=r"features.json names hostile.Text, which is none of TFDS's own features"):
    open_dataset("folder/tiny", str(world / "data"))
