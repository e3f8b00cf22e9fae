"""Films that are read: which frames are looked at, their times, damage, and the frames that are fetched."""

import json
import pathlib

import cv2
import numpy as np
import pytest

from tests.summarize.films import BLACK, BLUE, GREEN, RED, scenes, write_film
from vidjax.data import video_file
from vidjax.errors import InputError
from vidjax.summarize.descriptors import SIMILAR_COLOURS, colour_histogram, distances
from vidjax.summarize.film import fetch, scan
from vidjax.summarize.summary import choose, clock, write


def test_one_frame_a_second_at_its_own_time(tmp_path):
  film = write_film(tmp_path / "a.mkv", scenes(RED, BLUE), rate=8, start=2.5)
  found = scan(str(film), colour_histogram)
  assert found.numbers.tolist() == [0, 8, 16, 24, 32]
  np.testing.assert_allclose(found.times, [2.5, 3.5, 4.5, 5.5, 6.5], atol=2e-3)
  assert found.frames == 40
  assert found.seconds == pytest.approx(39 / 8, abs=2e-3)
  assert found.curve.argmax() == 3
  assert scan(str(film), colour_histogram, rate=100).numbers.tolist() == list(range(40))


def test_frames_that_show_nothing_are_left_out(tmp_path):
  film = scan(str(write_film(tmp_path / "a.mp4", scenes(BLACK, RED, BLACK))), colour_histogram)
  summary = choose(film, "uniform", 6)
  assert summary.numbers.tolist() == [20]  # the two of the red scene are similar
  dark = scan(str(write_film(tmp_path / "b.mp4", scenes(BLACK))), colour_histogram)
  assert choose(dark, "vsumm1").numbers.tolist() == [0]
  assert choose(dark, "vsumm1").notes == ("every frame is of one colour",)


def test_damaged_frames_are_counted_and_never_chosen(tmp_path, monkeypatch):
  film = write_film(tmp_path / "a.mp4", scenes(RED, GREEN))
  sound = list(video_file.read(film))

  def read(file, *_, **options):
    assert options["max_corrupt"] == 5
    for number, frame in enumerate(sound):
      if number in bad:
        options["on_damage"]()
      yield frame._replace(corrupt=number in bad, key=number % keys == 0)

  monkeypatch.setattr(video_file, "read", read)
  bad, keys = {0, 1, 20}, 1
  found = scan(str(film), colour_histogram, max_corrupt=5)
  assert found.damaged == 3
  assert found.numbers.tolist() == [2, 10, 21, 30]
  keys = 12  # what follows damage carries it on, up to the next frame that is coded by itself
  assert scan(str(film), colour_histogram, max_corrupt=5).numbers.tolist() == [12, 24, 30]
  bad = set(range(40))
  with pytest.raises(InputError, match="40 frames, all of them damaged or after damage"):
    scan(str(film), colour_histogram, max_corrupt=5)


def test_times_that_restart_are_counted_on(tmp_path, monkeypatch):
  film = write_film(tmp_path / "a.mp4", scenes(RED, GREEN))
  sound = list(video_file.read(film))
  monkeypatch.setattr(video_file, "read", lambda *_, **__: iter([*sound, *sound]))  # two films, joined byte by byte
  found = scan(str(film), colour_histogram)
  assert found.numbers.tolist() == [0, 10, 20, 30, 40, 50, 60, 70]
  np.testing.assert_allclose(found.times, range(8), atol=2e-3)
  assert found.seconds == pytest.approx(7.9)


def test_another_size_midway_is_told(tmp_path):
  path = tmp_path / "a.h264"
  with path.open("wb") as file:
    for name, shape in (("wide", (48, 64, 3)), ("tall", (80, 48, 3))):
      images = np.broadcast_to(np.array(RED, np.uint8), (10, *shape))
      part = write_film(tmp_path / f"{name}.h264", images, codec="libx264")
      file.write(part.read_bytes())
  found = scan(str(path), colour_histogram)
  assert found.frames == 20
  assert found.notes[-1] == "10 frames have another size than the first: all are shown in its size"


def test_a_very_flat_film_is_drawn(tmp_path):
  flat = np.random.default_rng(0).integers(0, 255, (10, 2, 2048, 3)).astype(np.uint8)
  film = write_film(tmp_path / "a.mkv", flat)
  write(choose(scan(str(film), colour_histogram), "vsumm1"), tmp_path / "out")
  assert (tmp_path / "out" / "sheet.png").exists()


def test_fetched_frames_are_those_of_the_film(tmp_path):
  film = write_film(tmp_path / "a.mp4", scenes(RED, GREEN))
  frames = list(video_file.decode(film))
  for number, image in zip((0, 7, 39), fetch(str(film), np.array([0, 7, 39])), strict=True):
    np.testing.assert_array_equal(image, frames[number])
  with pytest.raises(InputError, match="no frame 40"):
    list(fetch(str(film), np.array([3, 40])))


def test_what_is_written(tmp_path):
  film = write_film(tmp_path / "a film $x$ 漢.mp4", scenes(RED, GREEN, BLUE))
  summary = choose(scan(str(film), colour_histogram), "vsumm1")
  out = tmp_path / "out"
  write(summary, out)
  report = json.loads((out / "summary.json").read_text())
  assert [one["frame"] // 20 for one in report["keyframes"]] == [0, 1, 2]
  for one in report["keyframes"]:
    assert one["seconds"] == pytest.approx(one["frame"] / 10, abs=2e-3)
    assert cv2.imread(str(out / one["image"])).shape == (48, 64, 3)
  assert report["frames"] == 60
  assert report["curve"]["frame"] == [0, 10, 20, 30, 40, 50]
  assert len(report["curve"]["change"]) == 6
  for name in ("sheet.png", "curve.png"):
    assert min(cv2.imread(str(out / name)).shape[:2]) > 100
  write(choose(scan(str(film), colour_histogram), "vsumm1", 1), out)
  assert len(list(out.glob("Frame*.jpeg"))) == 1  # those of the summary before are gone


def test_seconds_in_words():
  assert [clock(x) for x in (0, 59.96, 61.25, 3723.4, -0.5)] == ["0:00.0", "1:00.0", "1:01.2", "1:02:03.4", "-0:00.5"]


@pytest.mark.parametrize("name", ["torchcodec_nasa_13013.mp4", "decord_video_90.mov", "tree.avi"])
def test_real_films_have_no_similar_keyframes(name, shared_videos, tmp_path):
  film = str(shared_videos / name)
  summary = choose(scan(film, colour_histogram, 1, 120), "vsumm1")
  write(summary, tmp_path)
  images = [cv2.imread(str(path))[..., ::-1] for path in sorted(pathlib.Path(tmp_path).glob("Frame*.jpeg"))]
  described = np.stack([colour_histogram(np.ascontiguousarray(image)) for image in images])
  between = distances(described, described)[~np.eye(len(images), dtype=bool)]
  assert (between > 0.9 * SIMILAR_COLOURS).all()
  assert len(images) == {"t": 3, "d": 1}[name[0]] - (name == "tree.avi")
