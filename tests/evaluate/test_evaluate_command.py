"""The evaluate command: the same numbers for every batch size and device count, and reports of what was done."""

import csv
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import ttsn
from tests.tiny_run import CLASSES, VIDEOS, make_run, write_data
from tests.xla import xla_flags
from vidjax.apply.sharding import make_mesh
from vidjax.errors import ConfigError, InputError
from vidjax.evaluate.evaluation import Options, evaluate, parse_views
from vidjax.evaluate.manifest import digest
from vidjax.predict.predictor import make_predictor
from vidjax.run.checkpoint import Checkpoints
from vidjax.run.folder import write_folder
from vidjax.run.opened import Run, open_run
from vidjax.types import State


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data):
  root = tmp_path_factory.mktemp("runs")
  return [make_run(root / name, data, seed) for seed, name in enumerate(("rgb", "flow"))]


def scores_of(run, name="validation"):
  with np.load(run.workdir / "evaluation" / f"{name}_scores.npz") as saved:
    return dict(saved)


@pytest.mark.parametrize("views", [(1, 1), (2, 3)])
def test_the_same_numbers_for_every_batch_size_and_device_count(runs, views):
  found = []
  for devices, batch_size, at_once in ((1, 1, None), (1, 8, 5), (8, 3, None), (8, 8, 2)):
    options = Options(None, *views, at_once, batch_size)
    result = evaluate(runs[:1], options, make_mesh(devices), "command", progress=False)
    assert (result["videos"], result["records"], result["views"]) == (VIDEOS, VIDEOS, f"{views[0]}x{views[1]}")
    found.append((result, scores_of(runs[0])["scores"]))
  for result, scores in found[1:]:
    np.testing.assert_allclose(scores, found[0][1], atol=2e-6)
    assert {k: result[k] for k in ("top1", "top5", "mean_class")} == {
      k: found[0][0][k] for k in ("top1", "top5", "mean_class")
    }
  assert np.ptp(found[0][1].argmax(axis=1)) > 0  # the network does not always say the same


def test_the_report_names_every_video(runs):
  evaluate(runs[:1], Options(), make_mesh(1), "the command", progress=False)
  saved = scores_of(runs[0])
  assert list(saved["video_id"]) == [f"film {i}" for i in range(VIDEOS)]
  np.testing.assert_array_equal(saved["label"], np.arange(VIDEOS) % len(CLASSES))
  document = json.loads((runs[0].workdir / "evaluation" / "validation.json").read_text())
  right = (saved["scores"].argmax(axis=1) == saved["label"]).mean()
  assert document["top1"] == pytest.approx(right)
  assert document["command"] == "the command"
  assert document["step"] == 3
  assert sum(pair["videos"] for pair in document["worst_confused"]) <= VIDEOS


def test_a_manifest_says_what_a_number_was_measured_on(runs):
  """It is the same for the same evaluation, whatever the batch, and else differs in what differs."""

  def manifest(run, *options):
    return evaluate([run], Options(None, *options), make_mesh(1), "command", progress=False)["runs"][0]["manifest"]

  first = manifest(runs[0])
  whole = runs[0].dataset.digests["validation"]
  assert first["data"] == {"name": "folder/tiny", "split": "validation", "sha256": whole}
  assert (first["videos"]["count"], first["views"]) == (VIDEOS, {"clips": 1, "crops": 1})
  assert set(first["decoder"]["reads"]) == {"OpenCV", "PyAV"}
  assert digest(manifest(runs[0], 1, 1, None, 2)) == digest(first)
  saved = scores_of(runs[0])["frame_index"]
  assert saved.shape == (VIDEOS, 1, 4)
  assert all(x.min() >= 0 and x.max() < 5 + i and (np.diff(x) >= 0).all() for i, x in enumerate(saved))
  for other, expected in ((manifest(runs[0], 2, 3), {"frames", "views"}), (manifest(runs[1]), {"parameters"})):
    assert {key for key in first if other[key] != first[key]} == expected


def test_several_runs_average_their_scores(runs):
  result = evaluate(runs, Options(), make_mesh(1), "command", progress=False)
  together = scores_of(runs[0], "validation_ensemble")
  alone = []
  for run in runs:
    evaluate([run], Options(), make_mesh(1), "command", progress=False)
    alone.append(scores_of(run)["scores"])
  assert np.abs(alone[0] - alone[1]).max() > 0.01
  np.testing.assert_allclose(together["scores"], np.mean(alone, axis=0), atol=1e-6)
  assert result["report"].name == "validation_ensemble.json"
  assert [run["workdir"] for run in result["runs"]] == [str(run.workdir) for run in runs]


def test_the_test_crop_can_be_chosen(runs, data):
  """At 20 pixels of a short side of 24, in evaluation and prediction alike; the JSON says so."""
  workdir = runs[0].workdir
  evaluate([open_run(workdir)], Options(), make_mesh(1), "command", progress=False)
  report = json.loads((workdir / "evaluation" / "validation.json").read_text())
  assert [report["runs"][0][key] for key in ("size", "short_side")] == [16, 16]
  before = scores_of(runs[0])["scores"]
  chosen = open_run(workdir, size=20, short_side=24)
  assert next(iter(chosen.eval_loader(batch_size=1).batches()))["video"].shape[3:] == (20, 20, 3)
  evaluate([chosen], Options(None, 1, 3), make_mesh(1), "command", progress=False)
  report = json.loads((workdir / "evaluation" / "validation.json").read_text())
  assert [report["runs"][0][key] for key in ("size", "short_side")] == [20, 24]
  scores = scores_of(runs[0])["scores"]
  assert np.abs(scores - before).max() > 1e-3
  prediction = make_predictor(chosen, 1, 3)(str(data / "films" / "4.mp4"))
  np.testing.assert_allclose(prediction.scores, scores[4], atol=2e-6)
  with pytest.raises(ConfigError, match=r"short_side=16 is smaller than size=20.*of 20 or more"):
    open_run(workdir, size=20)


def test_a_network_of_one_size_refuses_another_crop(tmp_path, data):
  """ETT's position codes are as long as a frame's map."""
  config = ttsn.get_config("mini,tss=off")
  config.data.name, config.data.dir = "folder/tiny", str(data)
  config.sampler.num_segments = 4
  config.test.size, config.test.short_side = 16, 16
  config = config.to_dict()
  run = Run(config, CLASSES)
  variables = run.network.init(jax.random.key(0), jnp.zeros((1, *run.clip_shape)), False)
  write_folder(tmp_path, config, CLASSES)
  checkpoints = Checkpoints(tmp_path)
  state = State(jnp.int32(1), variables["params"], variables["batch_stats"], {"count": jnp.int32(1)})
  checkpoints.save(state, 1, config, {"top1": 0.5})
  checkpoints.close()
  with pytest.raises(InputError, match=r"parameters depend on the size of the crops: leave out size=48, it has 16"):
    open_run(tmp_path, size=48, short_side=48)


def test_runs_about_other_classes_or_videos_are_refused(runs, data, tmp_path):
  other = make_run(tmp_path / "reversed", data, class_names=CLASSES[::-1])
  with pytest.raises(InputError, match=r"reversed was trained with .* same classes, in one order"):
    evaluate([runs[0], other], Options(), make_mesh(1), "command", progress=False)
  damaged = make_run(tmp_path / "damaged", write_data(tmp_path / "data", damaged=(2,)))
  with pytest.raises(InputError, match=r"record 2 of split 'validation' is damaged in what one run reads and whole in"):
    evaluate([runs[0], damaged], Options(skip_damaged=True), make_mesh(1), "command", progress=False)


def test_damaged_records_are_an_error_or_reported(tmp_path):
  run = make_run(tmp_path / "run", write_data(tmp_path / "data", damaged=(2, 10)))
  with pytest.raises(InputError, match=r"film 2.*skip_damaged"):
    evaluate([run], Options(), make_mesh(1), "command", progress=False)
  result = evaluate([run], Options(skip_damaged=True), make_mesh(1), "command", progress=False)
  assert (result["videos"], result["records"]) == (VIDEOS - 2, VIDEOS)
  assert set(result["skipped"]) == {"2", "10"}
  assert "film 10" in result["skipped"]["10"]
  document = json.loads(result["report"].read_text())
  assert (document["videos"], document["records"], len(document["skipped"])) == (VIDEOS - 2, VIDEOS, 2)


def test_views():
  assert parse_views("10x3") == (10, 3)
  for wrong in ("3", "0x1", "1x2", "x", "10X3", "1x30"):
    with pytest.raises(InputError, match="CLIPSxCROPS"):
      parse_views(wrong)


@pytest.mark.slow
def test_the_command(runs, tmp_path):
  def run(*flags, devices=2):
    env = {**os.environ, "XLA_FLAGS": xla_flags(devices)}
    line = [sys.executable, "-m", "vidjax.evaluate", *flags]
    return subprocess.run(line, env=env, capture_output=True, text=True, timeout=200, check=False)

  workdirs = [f"--workdir={run.workdir}" for run in runs]
  done = run(*workdirs, "--views=2x3", "--views_per_batch=4", "--batch_size=3", "--size=20", "--short_side=24")
  assert done.returncode == 0, done.stderr
  assert "test crops: 20 pixels of a short side of 24\n" in done.stdout
  assert f"{VIDEOS} of {VIDEOS} videos" in done.stdout
  document = json.loads((runs[0].workdir / "evaluation" / "validation_ensemble.json").read_text())
  assert document["command"].startswith("python -m vidjax.evaluate --workdir=")
  assert f"top-1 {document['top1']:.2%}" in done.stdout
  written = {line.removeprefix("wrote ") for line in done.stdout.splitlines() if line.startswith("wrote ")}
  assert written == {str(path) for path in (runs[0].workdir / "evaluation").glob("validation_ensemble*")}
  assert len(written) == 5
  with (runs[0].workdir / "evaluation" / "validation_ensemble_confusion.csv").open() as file:
    counts = np.array([row[1:] for row in list(csv.reader(file))[1:]], int)
  assert counts.sum() == VIDEOS
  assert np.trace(counts) == round(document["top1"] * VIDEOS)

  for flags, message in (
    ([], "--workdir=DIR is missing"),
    ([f"--workdir={tmp_path}/none"], "none is not a run's folder"),
    ([workdirs[0], "--split=tset"], "no split 'tset'; it has validation"),
    ([workdirs[0], "--data_dir=nowhere"], "there is no data set 'folder/"),
    ([workdirs[0], "--wiews=1x1"], "--help lists the flags"),
  ):
    done = run(*flags)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
