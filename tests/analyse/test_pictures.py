"""Pictures: the pixels that are drawn, and that files come out for odd shapes."""

import cv2
import matplotlib as mpl
import numpy as np
import pytest

from vidjax.analyse.confusion import MAX_NAMES, save_confusion
from vidjax.analyse.pictures import (
  ENDINGS,
  Strip,
  legible,
  save_batch,
  save_explanation,
  save_strips,
  shorten,
  spread,
  to_uint8,
)
from vidjax.errors import InputError

SCRIPTS = ["漢字を書く", "größer", "прыжок", "قفز", "कूदना", "🎬\n$x$", "caf\udce9"]


def test_normalised_clips_become_what_they_were():
  clips = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3), dtype=np.uint8)
  mean, std = (0.5, 0.45, 0.4), (0.25, 0.22, 0.2)
  normalised = (clips / 255 - np.array(mean)) / np.array(std)
  np.testing.assert_array_equal(to_uint8(normalised, mean, std), clips)
  np.testing.assert_array_equal(to_uint8(clips), clips)
  stretched = to_uint8(normalised)
  assert (stretched.min(), stretched.max()) == (0, 255)


def test_other_numbers_of_channels_are_grey():
  clip = np.stack([np.full((1, 2, 2), 10), np.full((1, 2, 2), 30)], axis=-1).astype(np.uint8)
  np.testing.assert_array_equal(to_uint8(clip), np.full((1, 2, 2, 3), 20))


def test_frames_are_spread_over_the_clip():
  np.testing.assert_array_equal(spread(8, 8), np.arange(8))
  np.testing.assert_array_equal(spread(64, 4), [0, 21, 42, 63])
  np.testing.assert_array_equal(spread(1, 8), [0])


@pytest.mark.parametrize("shape", [(3, 8, 48, 48, 3), (1, 1, 17, 33, 3), (12, 20, 16, 16, 1)])
def test_a_batch_is_drawn(tmp_path, shape):
  clips = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  save_batch(tmp_path / "batch.png", clips, [f"class $_{i}" for i in range(len(clips))])
  assert min(cv2.imread(str(tmp_path / "batch.png")).shape[:2]) > 100


@pytest.mark.parametrize("maps", [1, 2])
def test_an_explanation_is_drawn(tmp_path, maps):
  clip = np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), dtype=np.uint8)
  evidence = [np.zeros((8, 48, 64)), np.random.default_rng(1).random((8, 48, 64))][:maps]
  save_explanation(tmp_path / "why.png", clip, evidence, np.arange(0, 80, 10), "a_b$c.mp4: slide left, 97.1%")
  assert min(cv2.imread(str(tmp_path / "why.png")).shape[:2]) > 300


def test_rows_of_several_clips(tmp_path):
  """Plain frames once for all rows of the same, and in each row the frame of the point, marked."""
  rng = np.random.default_rng(0)
  clips = rng.integers(0, 256, (2, 16, 24, 32, 3), dtype=np.uint8)
  strips = [
    Strip(
      clips[i],
      np.arange(16) + 100 * i,
      rng.random((16, 24, 32)),
      f"run {i}\nres{j}",
      1e-12,
      (6, 0.5, 0.25),
      ["0.1"] * 16,
    )
    for i, j in ((0, 3), (0, 4), (1, 3))
  ]
  with mpl.rc_context({"svg.fonttype": "none"}):
    save_strips(tmp_path / "rows.svg", strips, "a film", max_frames=4)
  text = (tmp_path / "rows.svg").read_text()
  assert [n for n in range(200) if f">frame {n}<" in text] == [0, 6, 10, 15, 100, 106, 110, 115]
  assert text.count(">0.1<") == 12
  short = Strip(clips[1, :3], np.arange(3) + 100, np.zeros((3, 24, 32)), point=(2, 0, 0))
  with mpl.rc_context({"svg.fonttype": "none"}):
    save_strips(tmp_path / "rows.svg", [*strips[:2], short], "a film", max_frames=4)
  text = (tmp_path / "rows.svg").read_text()
  assert [n for n in range(200) if f">frame {n}<" in text] == [0, 6, 15, 100, 101, 102]


def test_rows_of_an_explanation_bear_their_names(tmp_path):
  clip, evidence = np.zeros((2, 48, 64, 3), np.uint8), [np.zeros((2, 48, 64))] * 2
  with mpl.rc_context({"svg.fonttype": "none"}):
    save_explanation(tmp_path / "why.svg", clip, evidence, np.arange(2), "walk", names=("spatial", "te$poral$"))
  text = (tmp_path / "why.svg").read_text()
  assert text.count(">spatial<") == text.count(">te$poral$<") == 1
  with pytest.raises(ValueError, match="shorter"):
    save_explanation(tmp_path / "why.svg", clip, evidence, np.arange(2), "walk", names=("spatial",))


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_written(tmp_path, ending):
  clips = np.zeros((1, 1, 8, 8, 3), np.uint8)
  for path in (tmp_path / f"a{ending}", tmp_path / f"b{ending.upper()}"):
    save_batch(path, clips, ["one"])
    assert path.stat().st_size > 500
  pictures = {".pdf": b"%PDF", ".svg": b"<?xml", ".png": b"\x89PNG", ".webp": b"RIFF"}
  assert path.read_bytes().startswith(pictures.get(ending, path.read_bytes()[:1]))


@pytest.mark.parametrize("name", ["a", "a.gif", ".png", "a.mp4"])
def test_other_endings_are_refused(tmp_path, name):
  clips = np.zeros((1, 1, 8, 8, 3), np.uint8)
  with pytest.raises(InputError, match=r"no ending of a picture.*\.png, .*\.svg"):
    save_batch(tmp_path / name, clips, ["one"])
  assert not list(tmp_path.iterdir())


def test_a_confusion_matrix_has_no_grid_lines_though_a_style_asks_for_them(tmp_path):
  with mpl.rc_context({"axes.grid": True, "axes.grid.which": "both", "grid.color": "red", "grid.linewidth": 3}):
    save_confusion(tmp_path / "confusion.png", np.eye(4, dtype=int), ["a", "b", "c", "d"], "validation")
  blue, _, red = np.moveaxis(cv2.imread(str(tmp_path / "confusion.png")).astype(int), -1, 0)
  assert (blue - red).max() > 50
  assert (red > blue).sum() == 0


@pytest.mark.parametrize("classes", [1, 2, 8, 174, 400])
def test_a_confusion_matrix_is_drawn_fit_for_print(tmp_path, classes):
  matrix = np.random.default_rng(0).integers(0, 20, (classes, classes))
  matrix[0] = 0  # a class without videos
  save_confusion(tmp_path / "confusion.png", matrix, [f"class_{k}" for k in range(classes)], "validation")
  picture = cv2.imread(str(tmp_path / "confusion.png"))
  assert 700 < min(picture.shape[:2]) <= max(picture.shape[:2]) < 2700  # 9 inches of 300 pixels


@pytest.mark.parametrize(("classes", "drawn"), [(MAX_NAMES, MAX_NAMES), (174, 58), (400, 67)])
def test_names_are_thinned(tmp_path, classes, drawn):
  names = [f"name{k}." for k in range(classes)]
  with mpl.rc_context({"svg.fonttype": "none"}):
    save_confusion(tmp_path / "confusion.svg", np.eye(classes, dtype=int), names, "validation")
  text = (tmp_path / "confusion.svg").read_text()
  assert sum(f">{name}<" in text for name in names) == drawn
  assert ("1 of 3 named" in text) == (classes == 174)


def test_other_scripts_are_legible_without_a_warning(tmp_path):
  """Warnings are errors here, that of a missing glyph among them."""
  assert legible("größer прыжок") == "größer прыжок"
  assert legible("漢a🎬\n") == "\\u6f22a\\U0001f3ac\\n"
  assert legible("\udce9") == "\\udce9"
  clip = np.zeros((2, 16, 16, 3), np.uint8)
  matrix = np.eye(len(SCRIPTS), dtype=int)
  for name in SCRIPTS:
    save_explanation(tmp_path / "why.png", clip, [np.zeros((2, 16, 16))], np.arange(2), f"walk, 50%: {name}.mp4")
  save_batch(tmp_path / "batch.png", np.stack([clip] * len(SCRIPTS)), SCRIPTS)
  save_confusion(tmp_path / "confusion.png", matrix, SCRIPTS, SCRIPTS[0])


def test_long_names_are_shortened():
  assert shorten("short") == "short"
  assert shorten("x" * 100) == "x" * 31 + "…"
  assert shorten("漢" * 100) == "\\u6f22" * 5 + "…"
  assert shorten("x" * 32) == "x" * 32
