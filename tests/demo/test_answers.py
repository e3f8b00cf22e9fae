"""The page's functions, without Gradio: what is answered of a film, limits, and what becomes of an upload."""

import contextlib
import itertools
import json
import pathlib

import numpy as np
import pytest

from tests.tiny_run import make_run, write_data, write_video
from vidjax.analyse import film_representations, representations
from vidjax.analyse.pictures import save_strips
from vidjax.data.video_file import Frame
from vidjax.demo import answers, markup
from vidjax.demo.answers import (
  Answer,
  Film,
  Limits,
  Picture,
  answer,
  kept,
  names_uploads,
  pictures_of,
  read_film,
  uploaded,
)
from vidjax.errors import InputError
from vidjax.predict.predictor import make_predictor

MARKUP = "<b>bold</b> & \"quoted\" ${alert(1)} {{7*7}} <img src=x onerror='document.title=1'>"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  root = tmp_path_factory.mktemp("run")
  names = [MARKUP, *(f"class {k}" for k in range(1, 6))]
  return make_run(root / "run", write_data(root / "data"), class_names=names)


@pytest.fixture
def film(tmp_path):
  folder = tmp_path / "upload"
  folder.mkdir()
  return write_video(folder / "a & b.mp4", 0, frames=9)


def test_answers_come_one_after_the_other(run, film):
  """Classes first and as `predict` finds them; then a picture more each time; one that fails leaves the others."""

  def fail(film, prediction, path):
    raise InputError(f"{film.path} is too small")

  pictures = pictures_of(run)
  assert [picture.title for picture in pictures] == ["Evidence", "Timeline", "Representations"]
  predict = make_predictor(run)
  known = list(answer(str(film), film.name, predict, [pictures[0], Picture("Other", "Nothing.", fail)], Limits()))
  assert [one.next for one in known] == ["Evidence", "Other", ""]
  assert [sorted(one.pictures) for one in known] == [[], ["Evidence"], ["Evidence", "Other"]]
  assert known[0].best == predict(str(film)).best(5)
  assert known[0].film == Film(str(film), "a & b.mp4", 9, pytest.approx(9 / 8))
  assert known[2].pictures["Evidence"].startswith(b"\x89PNG")
  assert known[2].pictures["Other"] == "a & b.mp4 is too small"


def test_a_timeline_takes_its_window(run, tmp_path):
  """A picture of a film, also where its windows are as far apart as those of a long one; of a short one, the reason."""
  (picture,) = pictures_of(run, ["timeline"])
  path = tmp_path / "picture.png"
  film = Film(str(write_video(tmp_path / "film.mp4", 1, frames=30)), "film.mp4", 30, 3.6)
  for seconds in (3.6, 70.0):
    picture.draw(film._replace(seconds=seconds), None, path)
    assert path.read_bytes().startswith(b"\x89PNG")
  short = Film(str(write_video(tmp_path / "short.mp4", 1)), MARKUP, 9, 1.0)
  with pytest.raises(InputError, match=r"lasts 1\.1 seconds: a timeline takes 2 at least"):
    picture.draw(short, None, path)


def test_a_picture_that_a_run_has_not_is_named(run):
  with pytest.raises(InputError, match="--pictures=attention: this run has evidence, timeline, representations"):
    pictures_of(run, ["evidence", "attention"])


def test_representations_are_of_parts_of_the_film(run, tmp_path, monkeypatch):
  """Four parts of it, each with the frames that the modules need; they are computed elsewhere."""
  film = write_video(tmp_path / "film.mp4", 1, frames=30, size=(64, 48))
  seen = []

  def represent(segments, normalise, trained, steps, frames):
    seen.append(segments)
    return [representations.Row("frames", "", segments[:, 0])]

  monkeypatch.setattr(film_representations, "represent", represent)
  pictures_of(run)[-1].draw(Film(str(film), film.name, 30, 3.6), None, tmp_path / "picture.png")
  assert seen[0].shape == (4, 6, 48, 64, 3)
  assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
  ("limits", "words"),
  [
    (Limits(mb=1e-4), "has 0.0 MB, and this page takes 0.0001: cut it"),
    (Limits(seconds=0.9), "is longer than 0.9 seconds, which this page takes: cut it"),
  ],
)
def test_a_film_that_is_too_large_or_too_long(film, limits, words):
  with pytest.raises(InputError) as caught:
    read_film(str(film), "a & b.mp4", limits)
  assert words in str(caught.value)
  assert str(film.parent) not in str(caught.value)


def test_a_film_with_frames_without_end_is_left_off(film, monkeypatch):
  """Frames that all stand at one time are counted."""
  monkeypatch.setattr(answers, "timed", lambda *_, **__: ((Frame(np.zeros(0), 5.0), 5.0) for _ in itertools.count()))
  with pytest.raises(InputError, match=r"longer than 0\.5 seconds"):
    read_film(str(film), film.name, Limits(seconds=0.5))


@pytest.mark.parametrize("content", [b"", b"no film at all", b"\x00\x00\x00\x18ftypmp42" + bytes(500)])
def test_what_is_no_film_is_named_without_its_folder(run, tmp_path, content):
  path = tmp_path / "holiday.mp4"
  path.write_bytes(content)
  with pytest.raises(InputError, match=r"^holiday\.mp4 ") as caught:
    next(answer(str(path), path.name, make_predictor(run), [], Limits()))
  assert str(tmp_path) not in str(caught.value)


def test_an_upload_is_deleted_whatever_happens(film):
  folder = film.parent.parent
  sent = {"path": str(film), "orig_name": MARKUP}
  with contextlib.suppress(RuntimeError), uploaded(sent, folder) as told:
    assert told == (str(film), MARKUP)
    raise RuntimeError
  assert folder.exists()
  assert not film.parent.exists()
  with pytest.raises(InputError, match="has not arrived"), uploaded(sent, folder):
    pass


def test_two_may_send_the_same_film(film):
  """Gradio gives it one path, and the first answer deletes no film of the second visitor."""
  folder, content = film.parent.parent, film.read_bytes()
  both = []
  for _ in range(2):
    film.parent.mkdir(exist_ok=True)
    film.write_bytes(content)
    both.append(kept({"path": str(film), "orig_name": MARKUP}, folder))
  for one in both:
    with uploaded(one, folder) as (path, name):
      assert pathlib.Path(path).read_bytes() == content
      assert name == MARKUP
  assert list(folder.iterdir()) == []
  with pytest.raises(InputError, match="has not arrived"):
    kept({"path": str(film)}, folder)


OTHERS = (
  "/etc/hostname",
  "../outside.mp4",
  "https://example.com/film.mp4",
  "",
  None,
  "upload/link.mp4",
  "stray.mp4",
  "\0",
)


@pytest.mark.parametrize("path", OTHERS)
def test_only_uploads_are_read_and_deleted(film, path):
  """Whatever a request says: neither other files nor addresses."""
  folder = film.parent.parent
  files = [folder.parent / "outside.mp4", folder / "stray.mp4"]
  for file in files:
    file.write_bytes(b"film")
  (film.parent / "link.mp4").symlink_to(files[0])
  for sent in ({"path": path}, path):
    with pytest.raises(InputError, match="has not arrived"), uploaded(sent, folder):
      pass
  assert all(file.exists() for file in (*files, film))
  request = {"data": [{"path": str(film), "meta": {"_type": "gradio.FileData"}}], "fn_index": 0}
  assert names_uploads(json.dumps(request).encode(), folder)
  request["data"] = [{"deeper": [{"path": path}]}]
  assert not names_uploads(json.dumps(request).encode(), folder)


def test_a_request_that_is_no_json_is_refused(tmp_path):
  assert names_uploads(b"", tmp_path)
  for body in (b"path=/etc/hostname", b"\xff", b"[" * 200_000):
    assert not names_uploads(body, tmp_path)


def test_names_are_text():
  """Of classes, films, pictures and messages; and letters that do not print are escaped."""
  picture = Picture(MARKUP, MARKUP, save_strips)
  known = Answer(Film("/folder/film", MARKUP, 9, 1.0), [(MARKUP, 0.731)], {MARKUP: b"\x89PNG"}, MARKUP)
  parts = [
    markup.classes(known),
    markup.look(picture, known),
    markup.look(picture, None),
    markup.reading(MARKUP),
    markup.wrong(MARKUP + "\x1b[2J"),
  ]
  for part in parts:
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; &quot;quoted&quot;" in part
    assert "<b>" not in part
    assert "onerror='" not in part
  assert "73.1%" in parts[0]
  assert "\\x1b[2J" in parts[-1]


def test_heading_names_the_run_and_its_training(run):
  shown = markup.heading(run, MARKUP, MARKUP, "checkpoint of step 3")
  assert "What does &lt;b&gt;bold" in shown
  assert "Trained on <b>&lt;b&gt;bold" in shown
  assert "6 classes · Recognizer on 4 frames of 16 x 16 pixels · checkpoint of step 3<" in shown
  assert "50 MB and 7.5 seconds" in markup.rules(Limits(50, 7.5))


def test_a_run_without_films_has_no_page(run, monkeypatch):
  monkeypatch.setattr(type(run.recipe.stream), "gives", ("features",))
  with pytest.raises(InputError, match="not films"):
    pictures_of(run)
