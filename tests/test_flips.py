"""No mirror flip where it would change the class."""

import pytest

from configs import folder
from vidjax.data.augment import Flip
from vidjax.errors import InputError
from vidjax.run.opened import Run


def run(class_names, **flip) -> Run:
  config = folder.get_config("mini").to_dict()
  config["transforms"] = (config["transforms"][0], {"make": "vidjax.data.augment.Flip", **flip})
  return Run(config, class_names)


def flips(made: Run) -> list[Flip]:
  return [part for part in made.transforms if isinstance(part, Flip)]


def test_flips_stay_where_no_name_tells_a_side():
  made = run(["run", "walk"])
  assert len(flips(made)) == 1
  assert made.notes == []
  assert made.crops(10).crops == 10


def test_flips_go_where_names_tell_left_from_right():
  made = run(["swipe_left", "swipe_right", "stop"])
  assert flips(made) == []
  (note,) = made.notes
  assert note.startswith(
    "no mirror flips: class names tell left from right (swipe_left, swipe_right). --config.transforms[1]"
  )
  with pytest.raises(InputError, match=r"10 crops hold 5 mirrored .* \(swipe_left, swipe_right\): take 5"):
    made.crops(10)
  assert made.crops(5).crops == 5


@pytest.mark.parametrize("swap", [(("swipe_left", "swipe_right"),), ((0, 1),)])
def test_labels_are_exchanged_by_class_names(swap):
  made = run(["swipe_left", "swipe_right", "stop", "nod up", "nod down"], swap=swap)
  (flip,) = flips(made)
  assert flip.swap == ((0, 1),)
  assert made.notes == []
  made = run(["swipe_left", "swipe_right", "turn clockwise"], swap=swap)
  assert flips(made) == []
  assert "(turn clockwise)" in made.notes[0]


def test_flips_can_be_insisted_on_and_are_not_noted_where_there_are_none():
  assert len(flips(run(["left", "right"], whatever_names=True))) == 1
  assert run(["left", "right"], probability=0.0).notes == []


def test_colours_that_tell_classes_apart_are_warned_of():
  config = folder.get_config("mini").to_dict()
  config["device_transforms"] = ({"make": "vidjax.apply.device_augment.ColorJitter"},)
  assert Run(config, ["walk", "run"]).notes == []
  (note,) = Run(config, ["red light", "green light"]).notes
  assert note == "warning: ColorJitter changes colours, and class names differ in them (red light, green light)"
