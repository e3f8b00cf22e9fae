"""Published data sets of a few 8-frame films, in the layout in which the real ones are shipped."""

import itertools
import json
import pathlib
from collections.abc import Callable

import cv2
import numpy as np

from tests.tiny_run import write_video

CLASSES = ("ApplyLipstick", "Archery")
TEMPLATES = (
  "Holding something",
  "Pulling something from left to right",
  "Pulling something from right to left",
  "Pushing something from left to right",
  "Pushing something from right to left",
  "Turning the camera left while filming something",
  "Turning the camera right while filming something",
)
_seeds = itertools.count()


def film(path: pathlib.Path) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  codec = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
  write_video(path, next(_seeds), frames=8, size=(32, 32), codec=codec)


def frames(folder: pathlib.Path, numbers=range(1, 9), pattern: str = "{:05}.jpg", size: tuple[int, int] = (32, 40)):
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(next(_seeds))
  for number in numbers:
    cv2.imwrite(str(folder / pattern.format(number)), rng.integers(0, 255, (*size, 3), np.uint8))


def text(path: pathlib.Path, *lines: str) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text("".join(f"{line}\n" for line in lines))


def dump(path: pathlib.Path, content: object) -> None:
  text(path, json.dumps(content))


def ucf101(root: pathlib.Path) -> None:
  """Three groups of two films a class; group k is the test split of fold k."""
  lists = root / "ucfTrainTestlist"
  text(lists / "classInd.txt", *(f"{number} {name}" for number, name in enumerate(CLASSES, 1)))
  names = [f"{label}/v_{label}_g{g:02}_c{c:02}.avi" for label in CLASSES for g in (1, 2, 3) for c in (1, 2)]
  for name in names:
    film(root / "UCF-101" / name)
  for fold in (1, 2, 3):
    test = [name for name in names if f"_g{fold:02}_" in name]
    text(lists / f"testlist{fold:02}.txt", *test)
    train = [f"{name} {CLASSES.index(name.partition('/')[0]) + 1}" for name in names if name not in test]
    text(lists / f"trainlist{fold:02}.txt", *train)


def hmdb51(root: pathlib.Path) -> None:
  """Five films a class: two to train on, two of the test and one that is not used, in turn."""
  for label in ("brush_hair", "wave"):
    names = [f"Film{n}_{label}_u_cm_np1_fr_med_{n}.avi" for n in range(5)]
    for name in names:
      film(root / "hmdb51_org" / label / name)
    for fold in (1, 2, 3):
      flags = [(1, 1, 2, 2, 0)[(n + fold) % 5] for n in range(5)]
      lines = [f"{name} {flag} " for name, flag in zip(names, flags, strict=True)]
      text(root / "testTrainMulti_7030_splits" / f"{label}_test_split{fold}.txt", *lines)


def something_v2(root: pathlib.Path) -> None:
  labels = root / "labels"
  dump(labels / "labels.json", {name: str(number) for number, name in enumerate(TEMPLATES)})
  given = [(number, name.replace("something", "[something]")) for number, name in enumerate(TEMPLATES)]
  dump(labels / "train.json", [{"id": str(n), "template": name, "placeholders": ["x"]} for n, name in given])
  dump(labels / "validation.json", [{"id": "100", "template": given[0][1]}])
  dump(labels / "test.json", [{"id": "200"}])
  for number in (*range(len(TEMPLATES)), 100, 200):
    film(root / "20bn-something-something-v2" / f"{number}.webm")


def something_v1(root: pathlib.Path, stem: str = "something-something-v1", names=TEMPLATES[::-1]) -> None:
  text(root / f"{stem}-labels.csv", *names)
  text(root / f"{stem}-train.csv", *(f"{number};{name}" for number, name in enumerate(names, 1)))
  text(root / f"{stem}-validation.csv", f"100;{names[0]}")
  text(root / f"{stem}-test.csv", "200")
  for number in (*range(1, len(names) + 1), 100, 200):
    frames(root / f"20bn-{stem}" / str(number))


def jester(root: pathlib.Path) -> None:
  something_v1(root, "jester-v1", ("Swiping Right", "Swiping Left", "Turning Hand Clockwise"))


def kinetics400(root: pathlib.Path) -> None:
  """Four films of a class; the third is called by its id alone and the fourth is gone."""
  header = "label,youtube_id,time_start,time_end,split"
  for split, name, first in (("train", "train.csv", 0), ("validate", "val.csv", 4)):
    rows = [(label, f"{label[0] * 10}{first + n}", n) for label in ("abseiling", "zumba") for n in range(4)]
    text(root / name, header, *(f"{label},{video},{n},{n + 10},{split}" for label, video, n in rows))
    for label, video, n in rows[:3] + rows[4:7]:
      film(root / split / label / (f"{video}_{n:06}_{n + 10:06}.mp4" if n < 2 else f"{video}.mp4"))


def mini_kinetics200(root: pathlib.Path) -> None:
  kinetics400(root)
  text(root / "train_ytid_list.txt", *(f"{letter * 10}{n}" for letter in "az" for n in range(2)))
  text(root / "val_ytid_list.txt", *(f"{letter * 10}4" for letter in "az"))


def diving48(root: pathlib.Path) -> None:
  dump(root / "Diving48_vocab.json", [["Back", "15som", "NoTwis", "PIKE"], ["Inward", "25som", "NoTwis", "TUCK"]])
  for split, numbers in (("train", (0, 1, 2, 3)), ("test", (4, 5))):
    rows = [{"vid_name": f"_8Vy_{n:05}", "label": n % 2, "start_frame": 0, "end_frame": 8} for n in numbers]
    dump(root / f"Diving48_V2_{split}.json", rows)
    for n in numbers:
      film(root / "rgb" / f"_8Vy_{n:05}.mp4")


def charades(root: pathlib.Path) -> None:
  text(root / "Charades_v1_classes.txt", "c000 Holding some clothes", "c001 Putting clothes, somewhere")
  actions = ("c000 0.00 1.00;c001 0.20 0.80", "c001 0.10 0.90", "")
  for split, letter in (("train", "A"), ("test", "B")):
    rows = [f'{letter}{n},"a bag; and, a box",{given},31.00' for n, given in enumerate(actions)]
    text(root / f"Charades_v1_{split}.csv", "id,script,actions,length", *rows)
    for n in range(3):
      film(root / "Charades_v1_480" / f"{letter}{n}.mp4")


def thumos14(root: pathlib.Path) -> None:
  for split, ending in (("validation", "val"), ("test", "test")):
    video = f"video_{split}_000000"
    text(root / split / f"CliffDiving_{ending}.txt", f"{video}1  0.1 0.4", f"{video}1  0.5 0.9")
    text(root / split / f"Diving_{ending}.txt", f"{video}1  0.1 0.4", f"{video}2  0.2 0.3")
    text(root / split / f"Ambiguous_{ending}.txt", f"{video}2  0.5 0.6")
    for n in (1, 2):
      film(root / split / f"{video}{n}.mp4")


MAKERS: dict[str, Callable[[pathlib.Path], None]] = {
  maker.__name__: maker
  for maker in (
    ucf101,
    hmdb51,
    something_v2,
    something_v1,
    jester,
    kinetics400,
    mini_kinetics200,
    diving48,
    charades,
    thumos14,
  )
}
