"""Models by name: every entry of the table by its shapes, and a shrunk one through the real command and in Python."""

import dataclasses
import functools
import io
import json
import os
import subprocess
import sys
import types
import urllib.request
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidjax
from tests.conftest import ROOT
from tests.tiny_models import TINY, network
from tests.tiny_run import write_data, write_video
from tests.xla import xla_flags
from vidjax import models
from vidjax.build import described
from vidjax.data.dataset import open_dataset
from vidjax.data.schema import Record
from vidjax.errors import InputError
from vidjax.evaluate.evaluation import parse_views
from vidjax.models import MODELS
from vidjax.predict.__main__ import show_models
from vidjax.prepare import __main__ as prepare_command
from vidjax.run.opened import Run
from vidjax.verify.parity import NETWORKS
from vidjax.weights.export import export
from vidjax.weights.fetch import fetched

OF_THE_HUB = {"vjepa2_large": 325_971_328, "vjepa2_large_ssv2": 375_485_998, "vjepa2_large_diving48": 375_356_848}
"""Numbers in the hub's files, as mteb's list of models has them; with V-JEPA 2's predictor, which is not read."""


SIZES = ("num_classes", "dropout", "width", "depth", "heads", "hidden", "patch", "grid", "registers", "epsilon")
"""What a tiny network of a family may have otherwise; of the whole network the number of classes alone."""


def without(described: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
  """What describes a network, without some settings, those of its parts included."""
  return {
    key: without(value, names) if isinstance(value, dict) else value
    for key, value in described.items()
    if key not in names
  }


@functools.cache
def count(name: str) -> int:
  """Parameters of a model's network."""
  init, size = functools.partial(MODELS[name].network().init, train=False), MODELS[name].clip.size
  shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 4, size, size, 3)))
  return sum(x.size for x in jax.tree.leaves(shapes["params"]))


@pytest.mark.parametrize("name", MODELS)
def test_an_entry_of_the_table(name):
  model = MODELS[name]
  if name.startswith("videoprism"):
    pytest.importorskip("videoprism.encoders", reason="its code is a package of its own")
  run = Run(models.config_of(name), models.class_names(model))
  assert run.clip_shape == (model.clip.frames, model.clip.size, model.clip.size, 3)
  assert len(set(run.class_names)) == model.classes
  assert described(run.network) == described(model.network())
  if model.classes:
    parse_views(model.views)
  if model.parity:
    theirs, ours = described(NETWORKS[model.parity]), described(model.network())
    sizes = SIZES if model.parity.startswith("tiny_") else SIZES[:1]
    if not model.classes:
      theirs, ours = theirs.get("backbone", theirs), ours["backbone"]
    assert without(theirs, sizes) == without(ours, sizes)
  if model.parameters:  # those printed with two digits behind the point are exact, the others are rounded
    assert count(name) / 1e6 == pytest.approx(model.parameters, rel=0.06 if model.parameters % 1 == 0 else 0.002)
  elif name in OF_THE_HUB:
    predictor = OF_THE_HUB["vjepa2_large"] - count("vjepa2_large")
    assert count(name) == OF_THE_HUB[name] - predictor
  elif not model.parity:
    assert count(name) > 1e7


@pytest.fixture
def tiny(monkeypatch, tmp_path):
  """Shrunk models in the table: the classifier's variables, and the file they were exported to."""
  for name, model in TINY.items():
    monkeypatch.setitem(MODELS, name, model)
  variables = network(3).init(jax.random.key(1), jnp.zeros((1, 4, 16, 16, 3)), False)
  export(variables, tmp_path / "tiny.safetensors")
  return variables, tmp_path / "tiny.safetensors"


def test_a_model_by_name_is_the_object_of_an_opened_run(tiny, tmp_path, capsys):
  variables, weights = tiny
  frames = np.random.default_rng(0).integers(0, 255, (9, 24, 30, 3), dtype=np.uint8)
  model = vidjax.load_model("tiny", weights)
  said = capsys.readouterr().err.splitlines()
  assert said[0] == "tiny: licence CC-BY-NC-4.0, which forbids commercial use (https://huggingface.co/who/tiny)"
  assert "numbers" in said[1]
  assert model.class_names == ["0", "1", "2"]
  assert model.run.crop_sizes == {"size": 16, "short_side": 20}
  jax.tree.map(np.testing.assert_array_equal, dict(model.variables), dict(variables))
  prediction = model.predict(frames, "2x3")
  assert prediction.scores.sum() == pytest.approx(1, abs=1e-5)
  np.testing.assert_array_equal(model.features(frames, "2x3"), prediction.features)
  output = model.network.apply(model.variables, model.run.normalise(prediction.clip[None]), False)
  np.testing.assert_allclose(model(prediction.clip[None]).logits, output.logits, atol=1e-5)

  (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "run", "2": "walk", "1": "sit"}}))
  assert vidjax.load_model("tiny", weights).class_names == ["run", "sit", "walk"]
  assert vidjax.load_model("tiny", weights, ["a", "b", "c"], size=18).run.crop_sizes == {"size": 18, "short_side": 20}
  other = vidjax.load_model("tiny", weights, ["a", "b"], new=("classifier",))  # to be fine-tuned
  assert other.variables["params"]["classifier"]["kernel"].shape == (8, 2)
  kernel = other.variables["params"]["backbone"]["stem"]["conv"]["kernel"]
  np.testing.assert_array_equal(kernel, variables["params"]["backbone"]["stem"]["conv"]["kernel"])

  with pytest.raises(InputError, match=r"class_names='abc': give a list of names"):
    vidjax.load_model("tiny", weights, "abc")
  with pytest.raises(InputError, match="clips of int32: give uint8 colours"):
    model(prediction.clip[None].astype(np.int32))

  encoder = vidjax.load_model("tiny_encoder", weights)
  assert encoder.class_names == []
  np.testing.assert_allclose(encoder.features(frames, "2x3"), prediction.features, atol=1e-6)
  assert encoder.predict(frames).best() == []
  assert encoder(prediction.clip[None]).logits is None
  with pytest.raises(InputError, match="tiny_encoder has no classes to explain"):
    encoder.explain(prediction, tmp_path / "why.png")
  with pytest.raises(InputError, match=r"tiny: .*classifier"):
    vidjax.load_model("tiny", weights, 5)


def test_weights_that_cannot_be_had(tiny, tmp_path, monkeypatch):
  hub = pytest.importorskip("huggingface_hub", reason="needs pip install -e '.[weights]'")
  by_hand = (
    r"By hand: fetch the weights from https://huggingface.co/who/tiny, .*weights=FILE, of a command as --weights"
  )

  def offline(repository: str, name: str) -> str:
    raise hub.errors.LocalEntryNotFoundError("no connection")

  def gated(repository: str, name: str) -> str:
    raise hub.errors.GatedRepoError("401", response=types.SimpleNamespace(headers={}, request=None))

  monkeypatch.setattr(hub, "hf_hub_download", offline)
  with pytest.raises(InputError, match=f"who/tiny: .*the hub cannot be reached.*{by_hand}"):
    vidjax.load_model("tiny")
  monkeypatch.setattr(hub, "hf_hub_download", gated)
  with pytest.raises(InputError, match=rf"accepted its terms: do so at https://huggingface.co/who/tiny, .*{by_hand}"):
    vidjax.load_model("tiny")
  with pytest.raises(InputError, match=r"'videomae_base_k40'; the nearest is videomae_base_k400, .*--models"):
    vidjax.load_model("videomae_base_k40")
  with pytest.raises(InputError, match=r"called 'film/x3d\.pth': give its name, as x3d_m, and a file as weights=FILE"):
    vidjax.load_model("film/x3d.pth")


def test_an_address_is_fetched_once_and_whole(tiny, tmp_path, monkeypatch):
  _, weights = tiny
  monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path / "cache"))
  address, asked, length = "https://example.org/tiny.safetensors", [], [weights.stat().st_size]

  def answer(url: str, timeout: float) -> io.BytesIO:
    asked.append(url)
    stream: Any = io.BytesIO(weights.read_bytes())
    stream.headers = {"Content-Length": str(length[0])}
    return stream

  monkeypatch.setattr(urllib.request, "urlopen", answer)
  monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(MODELS["tiny"], weights=address))
  length[0] += 1
  with pytest.raises(InputError, match=rf"{address} cannot be fetched \(\d+ of \d+ bytes came\). By hand: .*{address}"):
    vidjax.load_model("tiny")
  assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
  length[0] -= 1
  for _ in range(2):
    assert vidjax.load_model("tiny").class_names == ["0", "1", "2"]
  assert asked == [address] * 2
  assert fetched(address).read_bytes() == weights.read_bytes()


@pytest.mark.slow
def test_the_command(tiny, tmp_path):
  _, weights = tiny
  (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "run", "1": "sit", "2": "walk"}}))
  film = write_video(tmp_path / "a.mp4", 3, frames=12)

  def command(*given: str) -> tuple[str, str]:
    line = [sys.executable, "-m", "tests.tiny_models", f"--weights={weights}", *given, str(film)]
    done = subprocess.run(
      line, env={**os.environ, "XLA_FLAGS": xla_flags()}, cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr

  out, err = command("--model=tiny", "--json", f"--explain={tmp_path}/why.png")
  assert err.splitlines() == [
    "tiny: licence CC-BY-NC-4.0, which forbids commercial use (https://huggingface.co/who/tiny)",
    f"wrote {tmp_path}/why.png",
  ]
  model = vidjax.load_model("tiny", weights)
  (row,) = json.loads(out)
  for found, (name, score) in zip(row["top5"], model.predict(film).best(), strict=True):
    assert found == {"class": name, "score": pytest.approx(score, abs=1e-5)}
  out, err = command("--model=tiny_encoder", f"--features={tmp_path}/features.npz")
  assert out.splitlines() == [str(film), f"wrote {tmp_path}/features.npz"]
  assert err == "tiny_encoder: licence MIT (https://huggingface.co/who/tiny)\n"
  with np.load(tmp_path / "features.npz") as saved:
    assert saved["scores"].shape == (1, 0)
    np.testing.assert_allclose(saved["features"][0], model.features(film), atol=1e-5)


@pytest.mark.parametrize("name", ["tiny", "tiny_encoder"])
def test_features_of_a_model_over_a_data_set(tiny, tmp_path, name):
  """Its classes are others than those of the data set."""
  _, weights = tiny
  data = write_data(tmp_path / "data")
  values = types.SimpleNamespace(model=name, weights=str(weights), data="folder/tiny", name="new", data_dir=str(data))
  rest = ("workdir", "config", "fold", "stride", "batch_size", "skip_damaged", "overwrite")
  vars(values).update({"per": "segment", "new": [], "unused": [], **dict.fromkeys(rest)})
  prepare_command.features(values)
  record = Record.parse(open_dataset("features/new", str(data)).source("validation")[0])
  assert record.features.shape == (4, 8)
  values.config = "configs/vit.py"
  with pytest.raises(InputError, match="give --workdir=RUN, --model=NAME, or --config=FILE and --weights=FILE"):
    prepare_command.features(values)


def test_the_list_fits_a_terminal(capsys):
  show_models()
  lines = capsys.readouterr().out.splitlines()
  assert [line.split()[0] for line in lines[1:-2]] == [*MODELS]
  assert max(map(len, lines)) <= 120


def test_the_guide_has_the_table():
  text = (ROOT / "docs" / "guide.md").read_text()
  for row in (models.COLUMNS, *models.rows()):
    assert f"| {' | '.join(row)} |" in text
