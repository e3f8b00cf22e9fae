"""`python -m vidjax.export` on a tiny run: the file, what JAX makes of it without vidjax, and the JSON beside it."""

import importlib.util
import json
import subprocess
import sys
import types

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests.tiny_run import make_run, write_data, write_video
from vidjax.command import plain_config
from vidjax.errors import InputError
from vidjax.evaluate.calibration import Calibration, write_calibration
from vidjax.export import __main__ as command
from vidjax.export import contract, stablehlo
from vidjax.export.network import Exported, difference, exported
from vidjax.run import opened
from vidjax.run.films import read_clip
from vidjax.weights.load import load_weights
from vidjax.weights.read import read_tensors

ONNX = importlib.util.find_spec("jax2onnx") and importlib.util.find_spec("onnxruntime")
needs_onnx = pytest.mark.skipif(not ONNX, reason="needs pip install -e '.[onnx]', which changes Orbax's version")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A tiny run, and a film."""
  root = tmp_path_factory.mktemp("run")
  run = make_run(root / "run", write_data(root / "data"))
  return run, write_video(root / "film.mp4", 3)


@pytest.fixture
def export(trained, monkeypatch):
  """`export(*films, format=..., out=...)`: the command in this process."""

  def call(*films, **given) -> None:
    defaults = {"workdir": str(trained[0].workdir), "checkpoint": "best", "format": "stablehlo", "out": None}
    defaults |= {"preprocessing": True, "int8": None, "without": [], "data_dir": None, "trust": False}
    defaults |= {"size": None, "short_side": None}
    monkeypatch.setattr(command.flags, "FLAGS", types.SimpleNamespace(**{**defaults, **given}))
    command.main(["export", *map(str, films)])

  return call


READER = """
import sys, jax, numpy
call = jax.export.deserialize(bytearray(open(sys.argv[1], "rb").read())).call
for name, x in call(numpy.load(sys.argv[2])).items(): numpy.save(sys.argv[3] + name, x)
assert not any(name.startswith(("vidjax", "flax")) for name in sys.modules)
"""


def test_stablehlo_is_read_without_vidjax(trained, export, tmp_path, capsys):
  run, film = trained
  out = tmp_path / "new" / "net.stablehlo"
  write_calibration(run.workdir, Calibration(2.0, False, run.step, 0.1, 0.05, 50, "1x1", {}), {})
  export(film, out=str(out))
  assert "logits differ by" in capsys.readouterr().out
  assert sorted(path.name for path in out.parent.iterdir()) == ["net.stablehlo", "net.stablehlo.json"]
  clip = read_clip(run, str(film)).clip
  wanted = exported(run).call(np.stack([clip] * 3))
  np.save(tmp_path / "clips.npy", np.stack([clip] * 3))
  line = [sys.executable, "-c", "import jax.export\n" + READER, str(out), str(tmp_path / "clips.npy"), f"{tmp_path}/"]
  subprocess.run(line, check=True)
  for name in ("scores", "logits", "features"):
    assert difference(np.load(tmp_path / f"{name}.npy"), wanted[name]) < 1e-5
  np.testing.assert_allclose(np.load(tmp_path / "scores.npy").sum(-1), 1, rtol=1e-5)
  beside = json.loads((out.parent / "net.stablehlo.json").read_text())
  assert beside["input"] | {"dtype": "uint8", "shape": [None, 4, 16, 16, 3]} == beside["input"]
  assert beside["sampling"]["example"]["numbers"] == run.recipe.sampler.test(100)[0].tolist()
  assert beside["crop"]["size"] == 16
  assert beside["crop"]["stored_short_side"] == 24
  assert beside["class_names"] == run.class_names
  assert beside["calibration"]["temperature"] == 2.0
  assert beside["output"]["scores"] == "softmax"
  normalised = np.array(run.normalise(clip))
  formula = (clip / 255 - np.array(beside["normalise"]["mean"])) / np.array(beside["normalise"]["std"])
  np.testing.assert_allclose(formula, normalised, atol=1e-5)
  assert exported(run, preprocessing=False).spec.dtype == np.float32
  with pytest.raises(InputError, match=r"net.stablehlo exists: choose another --out"):
    export(out=str(out))


def test_a_file_that_differs_is_not_written(export, tmp_path, monkeypatch):
  monkeypatch.setattr(command, "difference", lambda found, wanted: 0.01)
  with pytest.raises(InputError, match=r"logits of the stablehlo file differ .* by 1.0e-02 of the largest, more than"):
    export(out=str(tmp_path / "net.stablehlo"))
  assert not list(tmp_path.iterdir())


def test_safetensors(trained, export, tmp_path, capsys):
  run, out = trained[0], tmp_path / "net.safetensors"
  export(format="safetensors", out=str(out))
  variables = {kind: run.variables[kind] for kind in ("params", "batch_stats")}
  count = len(flatten_dict(variables))
  assert f"step 3, {count} tensors, 0 of them under vidjax's own paths" in capsys.readouterr().out
  loaded, _ = load_weights(variables, out, network=run.network)
  jax.tree.map(np.testing.assert_array_equal, loaded, variables)
  assert json.loads(contract.beside_of(out).read_text())["input"]["normalised"] == "by the caller"
  export(format="safetensors", out=str(tmp_path / "b.safetensors"), without=["classifier"])
  assert set(read_tensors(str(out))) - set(read_tensors(str(tmp_path / "b.safetensors"))) == {"fc.weight", "fc.bias"}
  with pytest.raises(InputError, match=r"--without=tss: no parameter starts so; they start with backbone, classifier"):
    export(format="safetensors", out=str(tmp_path / "c.safetensors"), without=["tss"])


def test_bad_input(trained, export, tmp_path, monkeypatch):
  with pytest.raises(InputError, match=r"say --workdir=RUN --format=stablehlo"):
    export()
  for form, out in (("onnx", "a.stablehlo"), ("safetensors", "a.pth")):
    with pytest.raises(InputError, match=rf"{out} must end in .{form} for --format={form}"):
      export(format=form, out=out)
  with pytest.raises(InputError, match=r"--int8 is for --format=onnx"):
    export(out="a.stablehlo", int8="static")
  with pytest.raises(InputError, match=r"--without is for --format=safetensors"):
    export(out="a.stablehlo", without=["classifier"])
  with pytest.raises(InputError, match="runs nothing on films"):
    export("a.mp4", format="safetensors", out="a.safetensors")
  (tmp_path / "begun").mkdir()
  for name in ("config.json", "class_names.txt"):
    (tmp_path / "begun" / name).write_bytes((trained[0].workdir / name).read_bytes())
  with pytest.raises(InputError, match="no complete checkpoint"):
    export(out="a.stablehlo", workdir=str(tmp_path / "begun"))
  broken = tmp_path / "broken.stablehlo"
  broken.write_bytes(b"half a file")
  with pytest.raises(InputError, match="is damaged, or no file of --format=stablehlo"):
    stablehlo.load(broken)
  with pytest.raises(InputError, match="cannot be read"):
    stablehlo.load(tmp_path / "none")
  monkeypatch.setitem(sys.modules, "jax2onnx", None)
  with pytest.raises(InputError, match=r"ONNX needs packages: pip install -e '\.\[onnx\]'"):
    export(format="onnx", out=str(tmp_path / "a.onnx"))


@needs_onnx
@pytest.mark.parametrize("int8", [None, "dynamic"])
def test_onnx(trained, export, tmp_path, capsys, int8):
  from vidjax.export import onnx_file

  run, film = trained
  out = tmp_path / "net.onnx"
  export(film, format="onnx", out=str(out), int8=int8)
  clips = np.stack([read_clip(run, str(film)).clip] * 3)
  found, wanted = onnx_file.load(out)(clips), exported(run).call(clips)
  assert list(found) == ["scores", "logits", "features"]
  assert difference(found["logits"], wanted["logits"]) < (0.2 if int8 else 1e-5)
  assert ("with 8-bit weights" in capsys.readouterr().out) == bool(int8)


@pytest.mark.parametrize(
  ("config", "dtype", "axes", "scores"),
  [
    ("configs/probe.py", "float32", ["batch", "time", "feature"], "softmax"),
    ("configs/multilabel.py", "uint8", ["batch", "time", "height", "width", "channel"], "sigmoid"),
    ("configs/two_stream.py:flow", "uint8", ["batch", "time", "height", "width", "channel"], "softmax"),
  ],
)
def test_the_contract_of_other_streams_and_tasks(config, dtype, axes, scores, monkeypatch):
  monkeypatch.setattr(opened.Run, "_open", lambda self: None)
  run = opened.Run(plain_config(config), ["a", "b", "c"])
  shapes = jax.eval_shape(lambda: run.network.init(jax.random.key(0), np.zeros((1, *run.clip_shape), "f4"), False))
  run.variables = {"params": shapes["params"], "batch_stats": shapes.get("batch_stats", {})}
  part = Exported(lambda clips: {}, jax.ShapeDtypeStruct((1, *run.clip_shape), run.recipe.stream.dtype), ("scores",))
  found = json.loads(json.dumps(contract.contract(run, "onnx", part, True, {})))
  assert found["input"]["dtype"] == dtype
  assert found["input"]["axes"] == axes
  assert found["input"]["holds"]["make"] == f"vidjax.data.streams.{type(run.recipe.stream).__name__}"
  assert found["output"]["scores"] == scores
  assert found["threshold"] == (0.5 if scores == "sigmoid" else None)
  assert found["calibration"] is None
