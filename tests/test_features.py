"""Stored features: those of the network, whatever kills the command; a probe trains on them by the ordinary command."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import probe
from tests.conftest import ROOT
from tests.tiny_run import VIDEOS, make_run, write_data
from vidjax.apply.forward import forward
from vidjax.apply.sharding import make_mesh
from vidjax.command import plain_config
from vidjax.data.dataset import open_dataset
from vidjax.data.schema import Record
from vidjax.errors import ConfigError, InputError
from vidjax.predict.predictor import make_predictor
from vidjax.prepare import features
from vidjax.prepare.features import Settings, prepare_features
from vidjax.recipe import make_recipe, make_views
from vidjax.run.opened import open_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  root = tmp_path_factory.mktemp("features")
  return make_run(root / "run", write_data(root / "data"))


def records(data: pathlib.Path, name: str, split: str = "validation") -> list[Record]:
  source = open_dataset(name, str(data)).source(split)
  return [Record.parse(source[i]) for i in range(len(source))]


@pytest.mark.parametrize(
  ("settings", "devices"),
  [(Settings(), 1), (Settings("frame", 2), 2), (Settings("window", 3), 8), (Settings("window"), 1)],
)
def test_features_are_those_of_the_network(run, settings, devices, monkeypatch):
  monkeypatch.setattr(features, "SHARD", 4)
  monkeypatch.setattr(features, "FRAMES_AT_ONCE", 6)
  data, name = pathlib.Path(run.data.dir), f"{settings.per}{settings.stride}"
  report = prepare_features(run, name, data, settings, mesh=make_mesh(devices), batch_size=8)
  assert report["splits"]["validation"]["videos"] == VIDEOS
  own, stored = records(data, run.data.name), records(data, f"features/{name}")
  assert [r.video_id for r in stored] == [r.video_id for r in own]
  assert [r.label for r in stored] == [r.label for r in own]
  for before, after in list(zip(own, stored, strict=True))[::5]:
    clips = settings.clips(run.recipe.sampler, before)
    assert clips.max() == before.num_frames - 1 or settings.per == "segment"
    views = np.concatenate([run.test_crops(before.decode(clip)[None]) for clip in clips])
    output, _ = forward(run.network, run.variables, run.normalise(jnp.asarray(views)), False)
    expected = output.aux["frame_features"][0][0] if settings.per == "segment" else output.features
    np.testing.assert_allclose(after.features, expected, atol=1e-5)
    assert after.num_frames == len(expected) == len(after.times)
    assert np.all(np.diff(after.times) >= 0)


def test_what_was_begun_is_resumed_and_never_mixed(run, monkeypatch):
  monkeypatch.setattr(features, "SHARD", 4)
  data = pathlib.Path(run.data.dir)
  whole = prepare_features(run, "whole", data, Settings(), mesh=make_mesh(1))
  score, calls = features._score, []

  def dies(*arguments):
    calls.append(1)
    if len(calls) == 3:
      raise KeyboardInterrupt
    return score(*arguments)

  monkeypatch.setattr(features, "_score", dies)
  with pytest.raises(KeyboardInterrupt):
    prepare_features(run, "cut", data, Settings(), mesh=make_mesh(1))
  with pytest.raises(InputError, match=r"no data set 'features/cut' .*prepare features --workdir=RUN"):
    open_dataset("features/cut", str(data))
  other = make_run(data.parent / "other", data, seed=1)
  with pytest.raises(InputError, match=r"\.cut\.shards was begun with another backbone, data set or settings"):
    prepare_features(other, "cut", data, Settings(), mesh=make_mesh(1))
  assert prepare_features(run, "cut", data, Settings(), mesh=make_mesh(1)) == whole
  assert len(calls) == 4  # two shards of three were there
  assert open_dataset("features/cut", str(data)).digests == open_dataset("features/whole", str(data)).digests
  with pytest.raises(InputError, match=r"features/cut exists in .*: choose another --name, or pass --overwrite"):
    prepare_features(run, "cut", data, Settings(), mesh=make_mesh(1))


def test_bad_settings_are_refused():
  with pytest.raises(InputError, match=r"--stride=2: .*--per=frame or --per=window alone"):
    Settings("segment", 2)


def test_damaged_records_are_named_or_left_out(tmp_path):
  run = make_run(tmp_path / "run", write_data(tmp_path / "data", damaged=(3,)))
  data = tmp_path / "data"
  with pytest.raises(InputError, match=r"film 3 .*--skip_damaged leaves such records out"):
    prepare_features(run, "some", data, Settings(), mesh=make_mesh(1))
  report = prepare_features(run, "some", data, Settings(), mesh=make_mesh(1), skip_damaged=True)
  assert report["splits"]["validation"] == {"videos": VIDEOS - 1, "features": 4 * (VIDEOS - 1), "damaged": 1}
  assert "film 3" not in [record.video_id for record in records(data, "features/some")]


MIXES = "vidjax.apply.device_augment."
ONE_OF = {"make": f"{MIXES}OneOf", "transforms": ({"make": f"{MIXES}Mixup"}, {"make": f"{MIXES}CutMix"})}


@pytest.mark.parametrize(
  ("key", "value", "message"),
  [
    ("device_transforms", (ONE_OF,), "gives no pixels, which CutMix needs: leave it out"),
    (
      "test",
      {"make": "vidjax.data.augment.TestCrops", "size": 8},
      "TestCrops needs: set --config.test.make=.*Whole",
    ),
    ("normalise", {"make": f"{MIXES}Normalise"}, "Normalise needs: set --config.normalise.make=.*AsStored"),
  ],
)
def test_what_needs_pixels_is_named_with_what_stands_for_it(key, value, message):
  config = plain_config(probe.get_config()) | {key: value}
  with pytest.raises(ConfigError, match=message):
    make_views(make_recipe(config, ["a", "b"]))


@pytest.mark.slow
def test_a_probe_trains_on_them_by_the_ordinary_command(train, environment, tiny_data, tmp_path):
  train(tmp_path / "run", "--config.train.epochs=1")
  line = [sys.executable, "-m", "vidjax.prepare", "features", f"--workdir={tmp_path / 'run'}", "--name=probed"]
  line += [f"--data_dir={tmp_path / 'data'}"]
  (tmp_path / "data").mkdir()
  (tmp_path / "data" / "folder").symlink_to(tiny_data / "folder")
  process = subprocess.Popen(line, env=environment, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
  while not list(tmp_path.glob("data/features/.probed.shards/*.npz")) and process.poll() is None:
    time.sleep(0.01)
  process.send_signal(signal.SIGKILL)
  process.communicate()
  done = subprocess.run(line, env=environment, cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert "train: 54 features of 18 videos" in done.stdout
  assert "8 numbers each" in done.stdout
  probe = ("--config.data.name=features/probed", f"--config.data.dir={tmp_path / 'data'}", "--config.stream.width=8")
  options = {"config": "configs/probe.py:mlp", "without": r"widths|\.size|short_side"}
  output = train(tmp_path / "probe", *probe, "--config.train.epochs=2", **options)
  assert "best checkpoint" in output
  report = json.loads((tmp_path / "probe" / "evaluation" / "validation.json").read_text())
  assert report["videos"] == 5
  assert "is finished" in train(tmp_path / "probe", *probe, "--config.train.epochs=2", **options)
  attentive = {"config": "configs/probe.py:attentive", "without": r"widths|\.size|short_side"}
  heads = "--config.model.pooling.heads"
  last = train(tmp_path / "three", *probe, f"{heads}=3", code=2, **attentive).splitlines()[-1]
  assert "AttentivePooler(heads=3)" in last
  train(tmp_path / "attentive", *probe, f"{heads}=2", "--config.train.epochs=1", **attentive)
  assert open_run(tmp_path / "attentive").variables["params"]["pooling"]["query_token"].shape == (1, 1, 8)
  output = train(tmp_path / "narrow", *probe[:2], "--config.stream.width=9", code=2, **options)
  assert "stream.width=9: the features of features/probed have 8 numbers: set it to that" in output
  output = train(tmp_path / "frames", *probe[:2], code=2)
  assert "features/probed holds no frames but features" in output
  other = open_run(tmp_path / "run", checkpoint="last")
  other.variables = {**other.variables, "batch_stats": jax.tree.map(jnp.zeros_like, other.variables["batch_stats"])}
  prepare_features(other, "other", tmp_path / "data", Settings(), mesh=make_mesh(1))
  line = [sys.executable, "-m", "vidjax.evaluate", f"--workdir={tmp_path / 'probe'}", "--data=features/other"]
  done = subprocess.run(line, env=environment, cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 2
  assert "the features of features/other are of another backbone than those" in done.stderr
  np.save(tmp_path / "one.npy", np.random.default_rng(0).random((5, 8)))
  line = [sys.executable, "-m", "vidjax.predict", f"--workdir={tmp_path / 'probe'}", str(tmp_path / "one.npy")]
  done = subprocess.run([*line, "film.mp4"], env=environment, cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 2
  assert "error: film.mp4: does not exist; this network reads features, not films: give those of" in done.stderr
  assert len(done.stdout.splitlines()) == 3  # the file, and two classes
  pixels = "--config.normalise.make=vidjax.apply.device_augment.Normalise"
  output = train(tmp_path / "pixels", *probe, pixels, code=2, **options)
  assert "stream.make=Features gives no pixels, which Normalise needs" in output
  probed = open_run(tmp_path / "probe")
  predict = make_predictor(probed)
  with pytest.raises(InputError, match="holds numbers that are not finite"):
    predict(np.full((5, 8), np.nan))
  of_file, of_array = predict(tmp_path / "one.npy"), predict(np.load(tmp_path / "one.npy"))
  np.testing.assert_array_equal(of_file.scores, of_array.scores)
  assert of_file.clip.shape == probed.clip_shape
  for wrong in (np.zeros((5, 9)), np.zeros((5, 8), np.uint8), np.zeros((0, 8)), np.zeros(8)):
    with pytest.raises(InputError, match=r"give float features \[N, 8\]"):
      predict(wrong)
