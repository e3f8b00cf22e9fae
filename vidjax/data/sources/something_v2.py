"""Something-Something V2 (Goyal et al., ICCV 2017): 174 templates, 220,847 videos.

    20bn-something-something-v2/NUMBER.webm
    labels/train.json, validation.json      [{"id": "78687", "template": "Holding [something] next to [something]"}]
    labels/test.json                        [{"id": "1420"}]
    labels/labels.json                      {"Approaching something with your camera": "0"}
    labels/test-answers.csv                 1420;Holding something, in newer downloads

Older downloads call the lists something-something-v2-train.json and so on.
"""

import pathlib

from vidjax.data.films import Film
from vidjax.data.official import Official, collect, files_below, mirrored
from vidjax.data.place import Place

PLACE = Place(
  "something_v2",
  "https://www.qualcomm.com/developer/software/something-something-v-2-dataset",
  "NUMBER.webm in any folder and {train,validation,test,labels}.json (or something-something-v2-*.json)",
)
EXPECTED = {"train": 168913, "validation": 24777, "test": 27157}


def read(source: pathlib.Path) -> Official:
  """Reads the lists; the test split has labels where `test-answers.csv` is there. Errors as `Place.find`."""
  names = _classes(source)
  answers = {}
  for path in PLACE.find_all(source, "test-answers.csv", "something-something-v2-test-answers.csv"):
    answers |= {row[0]: row[1] for _, row in PLACE.table(path, ";") if len(row) == 2}
  listed = []
  for split in EXPECTED:
    path = PLACE.find(source, f"{split}.json", f"something-something-v2-{split}.json")
    for number, entry in enumerate(PLACE.json(path, list)):
      line = f"{path.name}, entry {number}"
      try:
        video = str(entry["id"])
        label = answers.get(video, "") if split == "test" else entry["template"].replace("[", "").replace("]", "")
      except (KeyError, TypeError, AttributeError):
        raise PLACE.error(f"{line}: {str(entry)[:80]} has no id or no template") from None
      if label not in names and (label or split != "test"):
        raise PLACE.error(f"{line}: {label!r} is no class of labels.json")
      listed.append(Film(pathlib.Path(f"{video}.webm"), video, label, split, line))
  films, missing = collect(listed, files_below(source, (".webm",)))
  return Official(films, names, 174, EXPECTED, mirrored=mirrored(names), missing=missing)


def _classes(source: pathlib.Path) -> list[str]:
  path = PLACE.find(source, "labels.json", "something-something-v2-labels.json")
  found = PLACE.json(path, dict)
  numbers = {str(number): name for name, number in found.items()}
  if sorted(numbers) != sorted(map(str, range(len(found)))):
    raise PLACE.error(f"{path}: the numbers of the classes must run from 0 on without a gap")
  return [numbers[str(number)] for number in range(len(found))]
