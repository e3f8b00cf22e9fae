"""`python -m vidjax.timeline` on streams: pipes, HTTP, RTSP, a film as a camera, and every kind of end."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import av
import numpy as np
import pytest

from tests.test_bad_input import command
from tests.timeline.films import FILES, frames, report, write_film
from tests.timeline.served import rtsp, served
from tests.xla import xla_flags
from vidjax.timeline import make

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections


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
  assert live["latency_seconds"]["median"] < 2  # it does not fall behind further and further


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


def test_an_index_at_the_end_and_a_server_without_ranges(run, tmp_path, capfd):
  (tmp_path / "web").mkdir()
  images = np.random.default_rng(0).integers(0, 256, (24, 128, 160, 3), dtype=np.uint8)
  for name, options in (("end", {}), ("front", {"movflags": "faststart"})):
    film = write_film(tmp_path / "web" / f"{name}.mp4", list(images), **options)
    assert film.stat().st_size > 2**18, "more than is read ahead"
    with served(film.parent) as address:
      line = f"timeline --workdir={run.workdir} {address}/{name}.mp4 --out={tmp_path}/out --window=1 --novideo"
      assert command(line) == (0 if options else 2)
    error = capfd.readouterr().err
    assert options or "0 frames could be decoded, then: Input/output error; if the server sends no parts" in error
    assert options or error.endswith("download it first, or copy it by ffmpeg -movflags faststart\n")


def test_an_address_leads_nowhere_else(run, film, tmp_path, capfd):
  (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{film}\n")
  (tmp_path / "page.mp4").write_text("<html>no film</html>" * 99)
  with served(tmp_path) as address:
    for name in ("list.m3u8", "page.mp4", "none.mp4"):
      assert command(f"timeline --workdir={run.workdir} {address}/{name} --out={tmp_path}/out") == 2
      error = capfd.readouterr().err
      assert error.startswith(f"error: {address}/{name} cannot be read as a film: ")
      assert error.count("\n") == 1
      assert name == "none.mp4" or "lists of other addresses, such as HLS, are not followed" in error


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


def test_a_pipe_faster_than_real_time(run, film, tmp_path, capfd):
  stream = write_film(tmp_path / "a.mkv", frames("red", 40)).read_bytes()
  line = f"timeline --workdir={run.workdir} --out={tmp_path}/out --window=2 --novideo"
  for flag in ("", " --nolive"):
    end, begin = os.pipe()
    with os.fdopen(begin, "wb") as pipe:
      assert pipe.write(stream) < 2**16, "it fits"
    code = command(f"{line} pipe:{end}{flag}")
    os.close(end)
    if flag:
      assert code == 0
    else:
      assert code == 2
      words = capfd.readouterr().err
      assert re.search(r"pipe:\d+ came faster than in real time: \d\d frames were dropped", words)
      assert words.endswith("--nolive reads all\n")


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
