"""`python -m vidjax.timeline` on one tiny run, whose colours tell the classes: films, files, bad input."""

import csv
import json
import shutil
import types

import av
import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.bad_input_features import RAW, noise, small
from tests.bad_input_setups import sound
from tests.test_bad_input import command
from tests.timeline.films import FILES, frames, report, write_film
from tests.tiny_models import TINY, network
from tests.tiny_run import CLASSES, write_video
from vidjax.evaluate.calibration import Calibration, corrected
from vidjax.models import MODELS
from vidjax.predict.predictor import make_predictor
from vidjax.run.folder import sole_writer
from vidjax.run.opened import open_run
from vidjax.tasks.classification import Classification
from vidjax.tasks.multilabel import MultiLabel
from vidjax.timeline import write
from vidjax.timeline.labelled import draw
from vidjax.timeline.make import first_lines, labels_at, rule_of
from vidjax.timeline.picture import save_timeline
from vidjax.timeline.spans import Rule, Span
from vidjax.weights.export import export

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections


def test_a_film(run, film, tmp_path, capfd):
  out = tmp_path / "out"
  flags = "--window=1 --every=.5 --smooth=0 --on=.3 --at_least=.5"
  assert command(f"timeline --workdir={run.workdir} {film} --out={out} {flags} --batch=4") == 0
  printed, errors = capfd.readouterr()
  assert errors == ""
  assert {path.name for path in out.iterdir()} == FILES
  found = report(out)
  assert (found["seconds"], found["frames"], found["ended"], found["damaged"]) == (8.0, 64, "at its end", 0)
  assert found["film"]["bytes"] == film.stat().st_size
  assert found["class_names"] == CLASSES
  scores = np.array(found["scores"]["scores"])
  assert scores.shape == (15, 6)
  np.testing.assert_allclose(found["scores"]["start"], np.arange(15) / 2)

  predict = make_predictor(run, 1, 1, 24)  # a window has the scores of a film of its frames
  images = list(av.open(str(film)).decode(video=0))
  for k in (0, 5, 14):
    own = np.stack([image.to_ndarray(format="rgb24") for image in images[4 * k : 4 * k + 8]])
    small = np.stack([cv2.resize(image, (30, 24), interpolation=cv2.INTER_AREA) for image in own])
    np.testing.assert_allclose(scores[k], predict(small).scores, atol=0.03)

  red, green = scores[0].argmax(), scores[8].argmax()
  assert red != green
  spans = [(x["start"], x["end"], x["label"]) for x in found["spans"]]
  assert [x[2] for x in spans] == [red, green, red]
  np.testing.assert_allclose([x[:2] for x in spans], [(0, 3), (3, 6), (6, 8)], atol=0.5)
  with (out / "spans.csv").open() as file:
    rows = list(csv.DictReader(file))
  assert [(float(x["start"]), float(x["end"]), x["class"]) for x in rows] == [
    (start, end, CLASSES[label]) for start, end, label in spans
  ]
  with (out / "scores.csv").open() as file:
    rows = list(csv.DictReader(file))
  np.testing.assert_allclose([float(rows[3][name]) for name in CLASSES], scores[3], atol=1e-5)
  lines = (out / "spans.srt").read_text().splitlines()
  assert lines[:2] == ["1", f"00:00:00,000 --> 00:00:0{int(spans[0][1])},{int(spans[0][1] % 1 * 1000):03d}"]
  assert lines[2].startswith(CLASSES[red])
  assert printed.count("%") == 3
  assert min(cv2.imread(str(out / "timeline.png")).shape[:2]) > 200
  with av.open(str(out / "labelled.mp4")) as container:
    drawn = list(container.decode(video=0))
  assert len(drawn) == 64
  assert [round(frame.time, 3) for frame in drawn] == [number / 8 for number in range(64)]
  image = drawn[8].to_ndarray(format="rgb24")
  assert image.shape[0] == 240
  assert (image[-40:, :60] > 200).all(axis=-1).any()  # white letters on red
  assert not (image[:100] > 200).all(axis=-1).any()


def test_times_are_the_frames_own(run, tmp_path):
  """The same frames in half the time at first: the spans move with them. The first frame is not at 0."""
  times = [1.5 + x for x in (*np.arange(24) / 16, *(1.5 + np.arange(24) / 4))]
  film = write_film(tmp_path / "vfr.mkv", [*frames("red", 24), *frames("green", 24)], times)
  flags = "--window=1 --every=.25 --smooth=0 --on=.3 --at_least=0 --novideo"
  assert command(f"timeline --workdir={run.workdir} {film} --out={tmp_path}/out {flags}") == 0
  found = report(tmp_path / "out")
  assert found["first_frame_seconds"] == pytest.approx(1.5)
  assert found["seconds"] == pytest.approx(7.5)
  first, second = found["spans"]
  assert first["end"] == second["start"] == pytest.approx(1.5, abs=0.5)  # by numbers and the mean rate: 3.75
  assert second["end"] == pytest.approx(7.5)
  assert not (tmp_path / "out" / "labelled.mp4").exists()


def test_a_film_that_breaks_off_leaves_its_results(run, film, tmp_path, capfd):
  broken = tmp_path / "broken.mkv"
  whole = write_film(tmp_path / "whole.mkv", [*frames("red", 24), *frames("green", 40)]).read_bytes()
  middle = len(whole) * 3 // 4
  broken.write_bytes(whole[:middle] + bytes(1000) + whole[middle + 1000 :])
  flags = "--window=1 --every=.5 --on=.3"
  assert command(f"timeline --workdir={run.workdir} {broken} --out={tmp_path}/out {flags}") == 2
  error = capfd.readouterr().err
  assert error.startswith(f"error: {broken} is ")
  assert "; the results up to " in error
  assert error.count("\n") == 1
  found = report(tmp_path / "out")
  assert found["ended"] == "broke off"
  assert str(broken) in found["reason"]
  assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_flags_of_a_config_are_told_what_to_do(run, film, capfd):
  assert command(f"evaluate --workdir={run.workdir} --config.data.dir=elsewhere") == 2
  assert "'config.data.dir' (--data_dir=DIR says where the data sets lie; --help" in capfd.readouterr().err
  assert command(f"timeline --workdir={run.workdir} {film} --config.test.size=8") == 2
  assert "'config.test.size' (a run has its own config, which no flag changes here; --help" in capfd.readouterr().err


def test_segments_without_frames_of_their_own_are_noted(run, film, tmp_path, capfd):
  line = f"timeline --workdir={run.workdir} {film} --out={tmp_path}/out --novideo"
  assert command(f"{line} --window=.2") == 0
  words = "a clip of the run spans 4 frames and the shortest window has 2: some are repeated; --window=0.5 has as many"
  assert words in capfd.readouterr().err
  assert command(f"{line} --window=.5") == 0
  assert capfd.readouterr().err == ""


def test_damage_is_counted_once(run, tmp_path, capfd):
  whole = write_film(tmp_path / "whole.mkv", [*frames("red", 24), *frames("green", 40)]).read_bytes()
  broken, middle = tmp_path / "broken.mkv", len(whole) * 3 // 4
  broken.write_bytes(whole[:middle] + bytes(100) + whole[middle + 100 :])
  flags = "--window=1 --every=.5 --on=.3 --max_corrupt=99"
  for name in ("novideo", "video"):
    assert command(f"timeline --workdir={run.workdir} {broken} --out={tmp_path}/{name} {flags} --{name}") == 0
  without, with_film = (line for line in capfd.readouterr().err.splitlines() if "damaged" in line)
  assert without == with_film
  assert report(tmp_path / "video")["damaged"] == report(tmp_path / "novideo")["damaged"] > 0


def test_a_folder_holds_one_timeline(run, film, tmp_path, capfd, monkeypatch):
  out = tmp_path / "out"
  out.mkdir()
  (out / write.REPORT).write_text("of an older film")
  line = f"timeline --workdir={run.workdir} {film} --out={out} --window=1 --novideo"
  with sole_writer(out, "--out"):
    assert command(line) == 2
  assert f"error: --out={out}: another command writes there" in capfd.readouterr().err
  assert (out / write.REPORT).exists()
  monkeypatch.setattr(write, "write_spans", lambda *_: 1 / 0)  # is stopped after its first file
  with pytest.raises(ZeroDivisionError):
    command(line)
  assert {path.name for path in out.iterdir()} == {".lock", write.SCORES}


def test_a_film_without_sound_and_times(run, tmp_path, capfd):
  """A bare H.264 stream states its rate and no times."""
  film = write_video(tmp_path / "bare.h264", 0, frames=40)
  assert command(f"timeline --workdir={run.workdir} {film} --out={tmp_path}/out --window=1 --on=.3 --novideo") == 0
  found = report(tmp_path / "out")
  assert (found["frames"], found["seconds"], len(found["scores"]["start"])) == (40, 5, 9)
  assert found["times_from_rate"] == {"frames": 40, "rate": 8}
  assert "bare.h264 states no times: they follow from its 8 frames a second" in capfd.readouterr().err


BAD = {
  "no film named": ("--out={tmp}/out", "one film, camera, address or - is required"),
  "two films": ("{film} {film} --out={tmp}/out", "not 2"),
  "no out": ("{film}", "--out=DIR is missing"),
  "out is a file": ("{film} --out={film}", "is a file"),
  "no such file": ("{tmp}/a.mp4 --out={tmp}/out", "a.mp4 does not exist"),
  "no film": ("{tmp}/text.mp4 --out={tmp}/out", "is not a video but text"),
  "only sound": ("{tmp}/sound.wav --out={tmp}/out", "holds no video, only audio"),
  "window longer than the film": ("{film} --out={tmp}/out --window=20", "lasts 8.00 s, less than --window=20"),
  "live, shorter than a window": ("{short} --live --out={tmp}/out", "less than --window=2"),
  "no camera": ("97 --out={tmp}/out", "camera 97 is not there: /dev/video97"),
  "a camera that waits": ("97 --nolive --out={tmp}/out", "leave --nolive out"),
  "nobody serves": ("http://127.0.0.1:1/a.mp4 --out={tmp}/out", "http://127.0.0.1:1/a.mp4 cannot be read as a film"),
  "no rtsp server": ("rtsp://me:secret@127.0.0.1:1/a --out={tmp}/out", "rtsp://127.0.0.1:1/a cannot be read"),
  "another scheme": ("gopher://a/b --out={tmp}/out", "addresses of http, https, rtsp, tcp, udp are read, not gopher"),
  "a path as an address": ("file:///etc/passwd --out={tmp}/out", "are read, not file"),
  "thresholds the wrong way": ("{film} --out={tmp}/out --on=.2 --off=.4", "0 < off <= on <= 1"),
  "no such class": ("{film} --out={tmp}/out --no_action=clas2", "the nearest of its 6 is class 2"),
  "calibration that is not there": ("{film} --out={tmp}/out --calibrated", "has no calibration.json"),
  "a window of nothing": ("{film} --out={tmp}/out --window=0", "--help"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_cost_one_line(case, run, film, tmp_path, capfd):
  line, words = BAD[case]
  (tmp_path / "text.mp4").write_text("no film")
  sound(tmp_path)
  short = write_film(tmp_path / "short.mp4", frames("red", 4))
  assert command(f"timeline --workdir={run.workdir} " + line.format(tmp=tmp_path, film=film, short=short)) == 2
  error = capfd.readouterr().err
  assert error.startswith("error: ")
  assert words in error
  assert "secret" not in error
  assert error.count("\n") == 1
  assert not list(tmp_path.glob("out/[!.]*"))


def test_runs_that_have_no_timeline(run, film, tmp_path, capfd):
  """An unfinished run, one that reads flow, one that reads features; no run at all."""
  bare, flow = tmp_path / "bare", tmp_path / "flow"
  for copy in (bare, flow):
    shutil.copytree(run.workdir, copy)
  shutil.rmtree(bare / "checkpoints")
  config = json.loads((flow / "config.json").read_text())
  (flow / "config.json").write_text(json.dumps(config | {"stream": {"make": "vidjax.data.streams.Flow"}}))
  (flow / "digests.json").unlink(missing_ok=True)
  small(noise)(tmp_path)
  assert command(RAW.format(tmp=tmp_path)) == 0
  capfd.readouterr()
  for line, words in (
    (f"--workdir={tmp_path}", "not a run's folder"),
    (f"--workdir={bare}", "checkpoint"),
    (f"--workdir={flow}", "reads Flow, and a timeline is made of frames"),
    (f"--workdir={tmp_path}/run", "reads Features, not films"),
    ("", "--workdir=DIR is missing"),
  ):
    assert command(f"timeline {line} {film} --out={tmp_path}/out") == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1


def test_a_released_model(film, tmp_path, monkeypatch, capfd):
  for name, model in TINY.items():
    monkeypatch.setitem(MODELS, name, model)
  export(network(3).init(jax.random.key(1), jnp.zeros((1, 4, 16, 16, 3)), False), tmp_path / "tiny.safetensors")
  line = f"timeline {film} --weights={tmp_path}/tiny.safetensors --out={tmp_path}/out --window=.5 --novideo"
  assert command(f"{line} --model=tiny") == 0
  assert (
    "note: a clip of the run spans 8 frames and the shortest window has 4: some are repeated; --window=1 has as many"
    in (capfd.readouterr().err)
  )
  found = report(tmp_path / "out")
  assert (found["run"]["name"], found["class_names"]) == ("released/tiny", ["0", "1", "2"])
  assert command(f"{line} --model=tiny_encoder") == 2
  assert "error: released/tiny_encoder has no classes" in capfd.readouterr().err
  assert command(f"{line} --model=tiny --workdir={tmp_path}") == 2
  assert "both are given" in capfd.readouterr().err


def test_calibrated_scores(run, film, tmp_path):
  copy = tmp_path / "run"
  shutil.copytree(run.workdir, copy)
  (copy / "calibration.json").write_text(json.dumps(Calibration(4.0, False, run.step, 0, 0, 1, "1x1", {})._asdict()))
  line = f"timeline --workdir={copy} {film} --window=1 --every=2 --novideo"
  assert command(f"{line} --out={tmp_path}/raw") == 0
  assert command(f"{line} --out={tmp_path}/corrected --calibrated") == 0
  raw, found = (np.array(report(tmp_path / name)["scores"]["scores"]) for name in ("raw", "corrected"))
  np.testing.assert_allclose(found, corrected(np.maximum(raw, 1e-7), 4.0, False), atol=0.02)
  assert found.max() < raw.max()


def test_the_rule_follows_the_task():
  def of(task, *arguments):
    run = types.SimpleNamespace(recipe=types.SimpleNamespace(task=task), class_names=CLASSES)
    return rule_of(run, 1.0, 2.0, *arguments)

  assert of(Classification(6), None, None) == Rule(0.5, 0.3, 1.0, 2.0, one=True)
  assert of(MultiLabel(6, threshold=0.4), None, None) == Rule(0.4, 0.24, 1.0, 2.0, one=False)
  assert of(MultiLabel(6), 0.8, 0.1, ["class 2"]) == Rule(0.8, 0.1, 1.0, 2.0, one=False, idle=(2,))
  scores = np.array([0.9, 0.1, 0.95, 0.6, 0.0, 0.4])
  assert labels_at(scores, Rule()) == [2]
  assert labels_at(scores, Rule(idle=(2,))) == []
  assert labels_at(scores, Rule(one=False)) == [2, 0, 3]
  assert labels_at(scores, Rule(one=False, own=((0.95, 0.5),) + ((0.3, 0.2),) * 5)) == [2, 3, 5]


def test_thresholds_of_classes(run, film, tmp_path, capfd):
  """Of several labels a video: each class is found from its own threshold on, in a film and over time."""
  copy = tmp_path / "run"
  shutil.copytree(run.workdir, copy)
  (copy / "digests.json").unlink(missing_ok=True)
  config = json.loads((copy / "config.json").read_text())
  config["task"] = {"make": "vidjax.tasks.multilabel.MultiLabel"}
  config["losses"] = [{"make": "vidjax.losses.classification.BinaryCrossEntropy"}]
  (copy / "config.json").write_text(json.dumps(config))
  line = f"timeline --workdir={copy} {film} --window=1 --every=1 --smooth=0 --at_least=0 --calibrated"

  def fit(thresholds):
    fitted = Calibration(1.0, True, run.step, 0, 0, 20, "1x1", thresholds)
    (copy / "calibration.json").write_text(json.dumps(fitted._asdict()))

  fit({})
  assert command(f"{line} --out={tmp_path}/out --novideo") == 0
  scores = np.array(report(tmp_path / "out")["scores"]["scores"])
  middle = (scores.min(axis=0) + scores.max(axis=0)) / 2
  fit(dict(zip(CLASSES[:5], [*middle[:4].tolist(), 1.0], strict=True)))
  assert command(f"{line} --out={tmp_path}/out") == 0
  found = report(tmp_path / "out")
  assert found["settings"]["on_of_classes"] == pytest.approx(dict(zip(CLASSES, [*middle[:4], 1.0, 0.5], strict=True)))
  assert {0, 1, 2, 3} <= {span["label"] for span in found["spans"]} <= {0, 1, 2, 3, 5}
  assert command(f"{line} --out={tmp_path}/given --on=1 --novideo") == 0
  assert "on_of_classes" not in report(tmp_path / "given")["settings"]

  capfd.readouterr()
  assert command(f"predict --workdir={copy} {film} --calibrated --json") == 0
  row = json.loads(capfd.readouterr().out)[0]
  prediction = make_predictor(open_run(copy), calibrated=True)(str(film))
  wanted = [k for k in np.argsort(-prediction.scores) if prediction.scores[k] >= prediction.thresholds[k]]
  assert [one["class"] for one in row["found"]] == [CLASSES[k] for k in wanted]
  fit({name: 1e-6 for name in CLASSES})
  assert command(f"predict --workdir={copy} {film} --calibrated") == 0
  assert capfd.readouterr().out.count("(found: from 0.0% on)") == (prediction.scores >= 1e-6).sum() > 0


def test_names_with_markup_and_line_breaks(tmp_path):
  names = ["<b>run</b>\n{\\an8}", '=1+1, "x"', "go_$a$ ünï 走"]
  spans = [Span(0.0, 1.5, 0, 0.5), Span(1.5, 3661.25, 1, 0.25), Span(2, 3, 2, 1.0)]
  write.write_subtitles(tmp_path / "a.srt", spans, names)
  assert (tmp_path / "a.srt").read_text().splitlines()[:7] == [
    "1", "00:00:00,000 --> 00:00:01,500", "‹b›run‹/b›\\n(\\an8) (50%)", "",
    "2", "00:00:01,500 --> 01:01:01,250", "=1+1, \"x\" (25%)",
  ]  # fmt: skip
  write.write_spans(tmp_path / "a.csv", spans, names)
  with (tmp_path / "a.csv").open(newline="") as file:
    assert [row["class"] for row in csv.DictReader(file)] == [names[0], "'" + names[1], names[2]], "no formula"
  write.write_scores(tmp_path / "b.csv", [0.0], [1.0], np.ones((1, 3)), names)
  with (tmp_path / "b.csv").open(newline="") as file:
    assert next(csv.reader(file))[3] == "'" + names[1]
  scores = np.random.default_rng(0).random((9000, 3))
  times = np.arange(9000.0)
  save_timeline(tmp_path / "a.png", times, scores, spans, names, 9000.0, Rule(), "<b>$x$")
  assert cv2.imread(str(tmp_path / "a.png")) is not None
  assert draw(np.zeros((40, 30, 3), np.uint8), (names[2], "x" * 300)).shape == (40, 30, 3)
  assert first_lines([*"abcd"]) == [*"abcd"]
  assert first_lines([*"abcdef"]) == [*"abcd", "and 2 more"]
  for width in (120, 240, 900):
    letters = draw(np.zeros((240, width, 3), np.uint8), ("W" * 40,)).any(axis=(0, 2))
    assert letters.any()
    assert not letters[-5:].any(), "a long name ends before the edge, in an ellipsis"
