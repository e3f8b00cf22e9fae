"""`python -m vidjax.timeline` on one tiny run, whose colours tell the classes: films, streams, every kind of end."""

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
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
from tests.timeline.films import frames, write_film
from tests.timeline.served import rtsp, served
from tests.tiny_models import TINY, network
from tests.tiny_run import CLASSES, make_run, write_data
from tests.xla import xla_flags
from vidjax.models import MODELS
from vidjax.predict.predictor import make_predictor
from vidjax.tasks.classification import Classification
from vidjax.tasks.multilabel import MultiLabel
from vidjax.timeline import make, write
from vidjax.timeline.labelled import draw
from vidjax.timeline.make import labels_at, rule_of
from vidjax.timeline.picture import save_timeline
from vidjax.timeline.spans import Rule, Span
from vidjax.weights.export import export

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
FILES = {"labelled.mp4", "scores.csv", "spans.csv", "spans.srt", "timeline.json", "timeline.png"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  root = tmp_path_factory.mktemp("timeline")
  return make_run(root / "run", write_data(root / "data"))


@pytest.fixture(scope="module")
def film(tmp_path_factory):
  """3 s of red, 3 of green, 2 of red again, at 8 frames a second."""
  images = [*frames("red", 24), *frames("green", 24), *frames("red", 16)]
  return write_film(tmp_path_factory.mktemp("films") / "film.mp4", images)


def report(out) -> dict:
  return json.loads((out / "timeline.json").read_text())


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


def test_a_paced_film_is_a_camera(run, film, tmp_path, capfd):
  begin = time.monotonic()
  flags = "--live --seconds=2 --window=.5 --every=.25 --on=.3"
  assert command(f"timeline --workdir={run.workdir} {film} --out={tmp_path}/out {flags}") == 0
  assert time.monotonic() - begin > 1.9
  found = report(tmp_path / "out")
  assert found["ended"] == "after --seconds"
  live = found["live"]
  assert 0 < live["latency_seconds"]["median"] <= live["latency_seconds"]["largest"] < 5
  assert found["frames"] + live["dropped_frames"] <= 18
  printed = capfd.readouterr().out
  assert "latency" in printed
  assert "dropped" in printed
  assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_a_slow_network_drops_frames_and_skips_windows(run, film, tmp_path, monkeypatch):
  real = make.make_score

  def slow(*arguments):
    score = real(*arguments)
    return lambda clips: (time.sleep(0.6), score(clips))[1]

  monkeypatch.setattr(make, "make_score", slow)
  flags = "--live --seconds=4 --window=.5 --every=.25 --on=.3 --novideo"
  assert command(f"timeline --workdir={run.workdir} {film} --out={tmp_path}/out {flags}") == 0
  live = report(tmp_path / "out")["live"]
  assert live["dropped_frames"] > 0
  assert live["skipped_windows"] > 0
  assert live["latency_seconds"]["largest"] >= 0.6
  assert live["latency_seconds"]["median"] < 1.6  # it does not fall behind further and further


def test_an_address_of_a_film_is_read_whole(run, film, tmp_path, capfd):
  flags = "--window=1 --every=.5 --smooth=0 --on=.3 --at_least=.5"
  with served(film.parent) as address:
    line = f"timeline --workdir={run.workdir} {address}/film.mp4?key=secret --out={tmp_path}/out {flags}"
    assert command(line) == 0
  printed = capfd.readouterr()
  assert printed.err == ""
  assert printed.out.splitlines()[0] == f"reading {address}/film.mp4"
  text = (tmp_path / "out" / "timeline.json").read_text()
  assert "secret" not in printed.out + text
  found = json.loads(text)
  assert (found["frames"], found["seconds"], len(found["spans"])) == (64, 8.0, 3)
  assert found["film"]["source"] == f"{address}/film.mp4"
  assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_an_address_that_breaks_off(run, tmp_path, capfd):
  images = [*frames("red", 64), *frames("green", 64)]
  (tmp_path / "web").mkdir()
  film = write_film(tmp_path / "web" / "a.mp4", images, movflags="faststart")
  with served(film.parent, film.stat().st_size * 2 // 3) as address:
    line = f"timeline --workdir={run.workdir} {address}/a.mp4 --out={tmp_path}/out --window=1 --timeout=3"
    assert command(line) == 2
  error = capfd.readouterr().err
  assert "error: http://127.0.0.1" in error
  assert "; the results up to " in error
  found = report(tmp_path / "out")
  assert found["ended"] == "broke off"
  assert 2 < found["seconds"] < 15
  assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_an_rtsp_camera(run, tmp_path, capfd, monkeypatch):
  """Of a server of our own, over TCP: a real camera is not here."""
  with rtsp(frames("red", 20), 20) as address:
    line = f"timeline --workdir={run.workdir} {address.replace('//', '//me:secret@')} --out={tmp_path}/out --window=.5"
    assert command(line + " --every=.25 --on=.3 --seconds=2") == 0
  printed = capfd.readouterr()
  assert printed.err == ""
  assert "secret" not in printed.out
  found = report(tmp_path / "out")
  assert found["film"]["source"] == address
  assert (found["ended"], found["live"]["dropped_frames"] >= 0) == ("after --seconds", True)
  assert found["seconds"] == pytest.approx(2, abs=0.1)
  assert len(found["scores"]["start"]) >= 4

  real, calls = make.make_score, []

  def counting(*arguments):
    score = real(*arguments)
    return lambda clips: (calls.append(1), score(clips))[1]

  monkeypatch.setattr(make, "make_score", counting)
  with rtsp(frames("red", 20), 20, lambda: len(calls) > 4) as address:
    line = f"timeline --workdir={run.workdir} {address} --out={tmp_path}/out --window=.25 --every=.25 --novideo"
    assert command(line) == 2
  error = capfd.readouterr().err
  assert error.startswith(f"error: {address} ended after ")
  assert "; the results up to " in error
  assert report(tmp_path / "out")["ended"] == "broke off"


def process(run, out, *arguments, **options):
  line = [sys.executable, "-m", "vidjax.timeline", f"--workdir={run.workdir}", f"--out={out}", *arguments]
  env = {**os.environ, "XLA_FLAGS": xla_flags()}
  pipe = subprocess.PIPE
  return subprocess.Popen(line, env=env, stdout=pipe, stderr=pipe, text=False, **options)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pipe_until_a_signal(run, tmp_path, number):
  """Frames are written at their pace until the command is told to end."""
  out, stop, images = tmp_path / "out", threading.Event(), frames("red", 20)
  end, begin = os.pipe()
  with process(run, out, "-", "--window=.5", "--every=.25", "--on=.3", stdin=end) as one:
    os.close(end)

    def write():
      with contextlib.suppress(OSError), os.fdopen(begin, "wb") as pipe, av.open(pipe, "w", "mpegts") as container:
        stream = container.add_stream("libx264", rate=20, options={"tune": "zerolatency", "g": "5"})
        stream.width, stream.height, stream.pix_fmt = 40, 32, "yuv420p"
        for i in range(4000):
          if stop.wait(0.05):
            break
          container.mux(stream.encode(av.VideoFrame.from_ndarray(images[i % 20], format="rgb24")))

    writer = threading.Thread(target=write)
    writer.start()
    lines = []
    for line in one.stdout:
      lines.append(line.decode())
      if sum("latency" in x for x in lines) == 3:
        one.send_signal(number)
        break
    rest = one.stdout.read().decode()
    stop.set()
    errors = one.stderr.read().decode()
    assert one.wait(60) == 0, errors
    writer.join()
  assert errors == ""
  assert lines[0] == "reading stdin, live: Ctrl-C ends it\n"
  assert rest.endswith(f"wrote {out}\n")
  found = report(out)
  assert found["ended"] == "stopped"
  assert len(found["scores"]["start"]) >= 3
  assert found["live"]["dropped_frames"] >= 0
  assert {path.name for path in out.iterdir()} == FILES


@pytest.mark.slow
def test_a_pipe_of_which_every_frame_is_used(run, film, tmp_path):
  stream = tmp_path / "a.mkv"
  images = [image.to_ndarray(format="rgb24") for image in av.open(str(film)).decode(video=0)]
  write_film(stream, images)
  with stream.open("rb") as stdin:
    one = process(run, tmp_path / "out", "-", "--nolive", "--window=1", "--every=.5", "--on=.3", stdin=stdin)
    out, errors = one.communicate(timeout=200)
  assert (one.returncode, errors.decode()) == (0, "")
  found = report(tmp_path / "out")
  assert (found["frames"], found["seconds"]) == (64, 8.0)
  assert "live" not in found
  assert out.decode().splitlines()[0] == "reading stdin"


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
  assert not list(tmp_path.glob("out/*"))


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
    "note: a clip of the run spans 8 frames and the shortest window has 4: it is looped; --window=1 has as many"
    in (capfd.readouterr().err)
  )
  found = report(tmp_path / "out")
  assert (found["run"]["name"], found["class_names"]) == ("released/tiny", ["0", "1", "2"])
  assert command(f"{line} --model=tiny_encoder") == 2
  assert "error: released/tiny_encoder has no classes" in capfd.readouterr().err
  assert command(f"{line} --model=tiny --workdir={tmp_path}") == 2
  assert "both are given" in capfd.readouterr().err


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
    assert [row["class"] for row in csv.DictReader(file)] == names
  scores = np.random.default_rng(0).random((9000, 3))
  times = np.arange(9000.0)
  save_timeline(tmp_path / "a.png", times, scores, spans, names, 9000.0, (0.5, 0.3), "<b>$x$")
  assert cv2.imread(str(tmp_path / "a.png")) is not None
  assert draw(np.zeros((40, 30, 3), np.uint8), (names[2], "x" * 300)).shape == (40, 30, 3)


def test_a_file_is_whole_or_not_there(tmp_path):
  path = tmp_path / "a.txt"
  path.write_text("old")
  with contextlib.suppress(RuntimeError), write.whole(path) as partial:
    partial.write_text("half")
    raise RuntimeError
  assert path.read_text() == "old"
  assert list(tmp_path.iterdir()) == [path]
