"""The numbers hang together, come without the data stack where they can, and mistakes are one line."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import simplejpeg

from configs import probe, quickstart
from tests.test_imports import DATA_STACK, FRAMEWORKS
from tests.xla import xla_flags
from vidjax.benchmark import loading, measure
from vidjax.benchmark.measure import Spread
from vidjax.benchmark.network import measure_infer, measure_train
from vidjax.data import schema, write
from vidjax.data.dataset import open_dataset
from vidjax.data.streams import Frames
from vidjax.errors import ConfigError

SMALL = {
  "sampler.num_segments": 2,
  "test.size": 16,
  "test.short_side": 16,
  "model.backbone.widths": (8, 8, 8, 8),
  "train.batch_size": 8,
  "data.name": "folder/noise",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
  """24 records of 5 small frames."""
  root = tmp_path_factory.mktemp("data")
  rng = np.random.default_rng(0)

  def fill(folder):
    videos = (rng.integers(256, size=(5, 48, 48, 3), dtype=np.uint8) for _ in range(24))
    examples = (schema.example(i % 2, f"v{i}", 8.0, 5, video=schema.encode_frames(v)) for i, v in enumerate(videos))
    write.write_records(folder, "folder/noise", ("train",), (("train", one) for one in examples), ["a", "b"])

  write.fill_folder(root / "folder" / "noise" / write.VERSION, fill)
  return str(root)


def small_config(data: str, **changes) -> dict:
  config = quickstart.get_config()
  config.update_from_flattened_dict({**SMALL, "data.dir": data, **changes})
  config.transforms = ({"make": "vidjax.data.augment.Resize", "size": 16},)
  return json.loads(config.to_json())


def test_train_and_infer_agree_with_each_other_and_with_counting_by_hand(data, capsys):
  config = small_config(data)
  train, infer = measure_train(config, 2, 1, 2), measure_infer(config, 2, 1, 2)
  assert capsys.readouterr().err.splitlines() == [
    "measuring: compilation of the train step",
    "measuring: 1 + 2 x 2 steps on one batch of 8 random clips of 174 classes",
    "measuring: 2 x (2 steps on that batch, 1 + 2 fed by the loader)",
    "measuring: compilation of the forward pass",
    "measuring: 1 + 2 x 2 forward passes of 8 random clips",
  ]
  taps = 2 * 8 * 8  # frames and pixels after the stem
  res2, res3, res4 = 2 * 9 * 64, 2 * 9 * 64 + 64, 2 * 9 * 64 + 64
  forward = taps * (25 * 3 * 8 + res2 + res3 // 4 + res4 // 16) + 2 * 8 * 174
  assert train["forward GMAC per clip"] == infer["forward GMAC per clip"] == pytest.approx(forward / 1e9)
  assert 2.5 * forward < 1e9 * train["training GMAC per clip"] < 3 * forward
  for results, macs in ((train, train["training GMAC per clip"]), (infer, infer["forward GMAC per clip"])):
    step, rate = results["step ms"], results["clips per second"]
    assert 0 < step.low <= step.median <= step.high
    assert rate.high == pytest.approx(8 * 1e3 / step.low)
    assert results["TFLOP per second"].high == pytest.approx(2e-3 * macs * rate.high)
    assert results["share of the peak"] == "not known for 'cpu'"
    assert results["MiB planned by the compiler"] > 0
    assert results["compile s"] > 0
  assert 0 <= train["data wait"].low <= train["data wait"].high < 1
  assert train["fed step ms"].low > 0
  assert train["data-free / fed step"].low > 0


def test_several_labels_and_features_are_measured(tmp_path):
  """The loader's clips fit what was compiled for the random ones."""
  labels = {"task": {"make": "vidjax.tasks.multilabel.MultiLabel"}}
  labels["losses"] = [{"make": "vidjax.losses.classification.BinaryCrossEntropy"}]
  assert measure_train({**small_config("nowhere"), **labels}, 1, 1, 1, classes=3)["step ms"].median > 0

  def fill(folder):
    examples = (schema.example(i % 2, f"v{i}", 8.0, 4, features=np.ones((4, 6), np.float32)) for i in range(8))
    write.write_records(folder, "features/x", ("train",), (("train", one) for one in examples), "ab", (), "features", 6)

  write.fill_folder(tmp_path / "features" / "x" / write.VERSION, fill)
  config = probe.get_config()
  config.update_from_flattened_dict({"data.name": "features/x", "data.dir": str(tmp_path), "stream.width": 6})
  config.train.batch_size = 8
  assert "data wait" in measure_train(json.loads(config.to_json()), 1, 1, 1, classes=2)


def test_training_is_measured_without_its_data(tmp_path):
  results = measure_train(small_config(str(tmp_path), **{"train.dtype": "bfloat16"}), 1, 1, 1)
  assert results["fed by the loader"].startswith("not measured: there is no data set 'folder/noise'")
  assert (results["dtype"], results["batch size"]) == ("bfloat16", 8)


@pytest.mark.parametrize("repeats", [1, 2])
def test_loader_against_decoding(repeats, data, monkeypatch, capsys):
  decoded = []
  decode = simplejpeg.decode_jpeg

  def count(jpeg, *args, buffer=None, **named):
    decoded.append((args, named))
    return decode(jpeg, *args, buffer=buffer, **named)

  monkeypatch.setattr(simplejpeg, "decode_jpeg", count)
  config = small_config(data, **{"data.num_threads": 0, "sampler.num_segments": 1, "data.repeats": repeats})
  results = loading.measure_data(config, steps=3, warmup=1, runs=2)
  assert len(decoded) == 2 * (1 + 3 + 3) * 8 // repeats  # runs x batches x clips, no frame of which is drawn twice
  assert all(options == decoded[0] for options in decoded)
  assert capsys.readouterr().err.startswith("measuring: 2 x (1 + 3 batches from the loader, then decoding ")
  loader, bare = results["loader ms per clip"], results["decoding alone ms per clip"]
  assert bare.low / loader.high <= results["share of the speed of decoding alone"].median <= bare.high / loader.low
  assert results["loader CPU ms per clip"].low > 0
  assert results["workers"] == "0 threads"


def test_decoding_alone_takes_each_frame_once_and_original_files(data, monkeypatch):
  source = open_dataset("folder/noise", data).source("train")
  assert len(loading._tasks(source, np.array([3, 4]), np.array([[0, 0, 1], [2, 3, 4]]), Frames())) == 2 + 3
  film = schema.Record(0, "film", 5, 8.0, (), encoded=b"film")
  monkeypatch.setattr(schema.Record, "parse", lambda raw: film)
  monkeypatch.setattr(schema.Record, "decode", lambda self, frames: [self.video_id, *frames])
  (task,) = loading._tasks(source, np.array([3]), np.array([[0, 2]]), Frames())
  assert task() == ["film", 0, 2]


def test_a_section_or_size_that_lacks_is_named(data):
  config = small_config(data)
  with pytest.raises(ConfigError, match="config lacks test"):
    measure_infer({name: value for name, value in config.items() if name != "test"}, 1, 1, 1)
  with pytest.raises(ConfigError, match=r"config\.test sets no size"):
    measure_infer({**config, "test": {"make": "vidjax.data.augment.TestCrops"}}, 1, 1, 1)
  with pytest.raises(ConfigError, match=r"config\.transforms sets no size"):
    measure_train({**config, "transforms": ({"make": "vidjax.data.augment.Flip"},)}, 1, 1, 1)
  with pytest.raises(ConfigError, match=r"train\.batch_size=7"):
    measure_train(small_config(data, **{"train.batch_size": 7}), 1, 1, 1)


def test_compilation_is_fresh(tmp_path):
  before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
  try:
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    with measure.fresh_compilation():
      jax.jit(lambda x: jnp.sin(x) * 3.25).lower(1.0).compile()
    assert not list(tmp_path.iterdir())
    jax.jit(lambda x: jnp.cos(x) * 3.25).lower(1.0).compile()
    assert list(tmp_path.iterdir())
  finally:
    jax.config.update("jax_compilation_cache_dir", before[0])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])
    measure.compilation_cache.reset_cache()


def test_peaks_and_spreads():
  assert measure.peak_flops("NVIDIA H100 PCIe", "bfloat16") == 756e12
  assert measure.peak_flops("NVIDIA H100 80GB HBM3", "bfloat16") == measure.peak_flops("NVIDIA H200", "bfloat16")
  assert measure.peak_flops("NVIDIA A100-SXM4-80GB", "float32") == 156e12
  assert measure.peak_flops("cpu", "float32") is None
  assert Spread.of([3.0, 1.0, 2.0, 9.0]) == Spread(2.5, 1.0, 9.0)


WITHOUT = """
import sys
class Blocker:
  def find_spec(self, name, path=None, target=None):
    if name.split(".")[0] in FORBIDDEN:
      raise ModuleNotFoundError(f"{name} is not installed", name=name)
sys.meta_path.insert(0, Blocker())
import runpy
runpy.run_module("vidjax.benchmark", run_name="__main__", alter_sys=True)
"""


def command(*arguments: str, forbidden: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
  script = WITHOUT.replace("FORBIDDEN", repr(forbidden))
  environment = {**os.environ, "XLA_FLAGS": xla_flags(), "COLUMNS": "160"}
  line = [sys.executable, "-W", "ignore", "-c", script, *arguments]
  return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["train", "infer"])
def test_the_command_needs_no_data_stack_for_the_network(mode, tmp_path):
  out = tmp_path / "speed.json"
  changes = [f"--config.{key}={value}" for key, value in SMALL.items()]
  options = ["--config=configs/quickstart.py", *changes, "--steps=2", "--runs=2", f"--out={out}"]
  result = command(mode, *options, forbidden=(*DATA_STACK, *FRAMEWORKS))
  assert result.returncode == 0, result.stderr
  assert f"vidjax.benchmark {mode}" in result.stdout
  assert "clips per second" in result.stdout
  written = json.loads(out.read_text())
  assert written["mode"] == mode
  assert written["platform"] == "cpu"
  assert written["versions"]["jax"] == jax.__version__
  assert f"--out={out}" in written["command"]
  assert written["config"]["train"]["batch_size"] == 8
  assert written["results"]["step ms"]["median"] > 0
  if mode == "train":
    assert written["results"]["fed by the loader"].endswith("is not installed")


@pytest.mark.slow
@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (
      [],
      "say what to measure, one of train, infer, data, attention, flow, ops, pooling, pytorch, streaming, transformers,"
      " skipping, preparation, encodings: got nothing",
    ),
    (["speed", "--config=configs/quickstart.py"], "got speed"),
    (["train"], "--config=FILE is missing"),
    (["train", "--config=configs/none.py"], "none.py"),
    (["train", "--config=configs/quickstart.py", "--steps=0"], "steps"),
    (["train", "--config=configs/quickstart.py", "--config.train.dtype=half"], "train.dtype='half'"),
    (["infer", "--config=configs/quickstart.py", "--out=no/where.json"], "there is no folder no"),
    (["data", "--config=configs/default.py"], "there is no data set 'folder/NAME'"),
  ],
)
def test_mistakes_are_one_line(arguments, message):
  result = command(*arguments)
  assert result.returncode == 2, result.stderr
  (line,) = result.stderr.strip().splitlines()
  assert line.startswith("error: ")
  assert message in line
