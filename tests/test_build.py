import dataclasses
import json

import pytest
from ml_collections import ConfigDict, FrozenConfigDict

from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.build import _with_config_dicts, build, locate
from vidjax.command import read_config
from vidjax.errors import ConfigError, InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM

INSERT = {"make": "vidjax.plugins.insert.Insert", "module": {"make": "vidjax.plugins.tsm.TSM"}, "at": "before"}
MODEL = {
  "make": "vidjax.networks.recognizer.Recognizer",
  "num_classes": 5,
  "backbone": {"make": "vidjax.backbones.resnet.MiniResNet", "widths": [8, 8, 16, 16], "inserts": [INSERT]},
}
BUILT = Recognizer(MiniResNet(widths=(8, 8, 16, 16), inserts=(Insert(TSM(), "before"),)), num_classes=5)


@dataclasses.dataclass(frozen=True)
class Takes:
  first: int
  second: int = 2


def anything(**arguments):
  return arguments


HERE = f"{__name__}.Takes"


@pytest.mark.parametrize("wrap", [dict, ConfigDict, lambda config: ConfigDict(config).lock()])
def test_a_nested_config_becomes_the_objects_it_names(wrap):
  model = build(wrap(MODEL))
  assert model == BUILT
  assert isinstance(model.backbone.widths, tuple)
  assert hash(model) == hash(BUILT)


def test_a_frozen_config():
  """FrozenConfigDict allows no mappings in lists."""
  backbone = {"make": "vidjax.backbones.resnet.MiniResNet", "widths": [8, 8, 16, 16]}
  model = build(FrozenConfigDict({**MODEL, "backbone": backbone}))
  assert model == Recognizer(MiniResNet(widths=(8, 8, 16, 16)), num_classes=5)


def test_values_mappings_and_lists_pass_through():
  assert build({"a": [1, {"b": [2]}], "c": "text"}) == {"a": (1, {"b": (2,)}), "c": "text"}
  assert build((None, 1.5)) == (None, 1.5)


def test_extra_arguments_are_for_the_outermost_and_the_config_wins():
  assert build({"make": HERE}, first=1) == Takes(1)
  assert build({"make": HERE, "first": 3}, first=1, second=4) == Takes(3, 4)
  nested = build({"make": f"{__name__}.anything", "inner": {"make": HERE, "first": 5}}, second=6)
  assert nested == {"inner": Takes(5), "second": 6}


def test_objects_inside_get_the_extra_arguments_they_need_and_lack():
  config = {"make": f"{__name__}.anything", "parts": [{"make": HERE}, {"make": HERE, "first": 3}]}
  assert build(config, first=1, second=4) == {"parts": (Takes(1), Takes(3)), "first": 1, "second": 4}


@pytest.mark.parametrize(
  ("config", "message"),
  [
    ({"make": HERE, "frist": 1}, r"takes no 'frist': did you mean 'first'\?; it takes first, second"),
    ({"make": HERE, "first": 1, "xyz": 1}, "takes no 'xyz'; it takes first, second"),
    ({"make": HERE}, "needs first, which the config does not set"),
    ({"make": "vidjax.plugins.tms.TSM"}, r"cannot import 'vidjax\.plugins\.tms'"),
    ({"make": "vidjax.plugins.tsm.TMS"}, r"vidjax\.plugins\.tsm has no 'TMS': did you mean 'TSM'\?"),
    ({"make": "TSM"}, "make='TSM'"),
    ({"make": ".tsm"}, "make='.tsm'"),
    ({"make": ""}, "make=''"),
    ({"make": 3}, "make=3: must be a dotted path"),
    ({"outer": [{"make": None}]}, "make=None: must be a dotted path"),
    ({"outer": [{"make": HERE, "scond": 1, "first": 1}]}, r"did you mean 'second'\?"),
    ({**MODEL, "parent": None}, "takes no 'parent'"),
    ({**MODEL, "backbone": {"make": "vidjax.backbones.resnet.ResNet", "dept": 101}}, "did you mean 'depth'"),
  ],
)
def test_mistakes_name_the_nearest_valid_thing(config, message):
  with pytest.raises(ConfigError, match=message) as raised:
    build(config)
  assert isinstance(raised.value, TypeError)
  assert isinstance(raised.value, InputError)
  assert "\n" not in str(raised.value)


def test_mappings_inside_tuples_become_config_dicts_of_the_same_values():
  """This is how `--config.transforms[0].siz=16` names the nearest key."""
  plain = {
    "steps": ({"make": HERE, "inner": [{"b": 2, "free": None}]}, 3),
    "empty": (),
    "nested": {"deep": ({"c": 1},)},
  }
  config = _with_config_dicts(ConfigDict(plain).lock())
  assert read_config(config) == json.loads(json.dumps(plain))
  assert config.is_locked
  assert (type(config.steps), type(config.steps[0].inner), config.nested.deep[0].c) == (tuple, list, 1)
  with pytest.raises(KeyError, match='Did you mean "inner"'):
    config.steps[0]["iner"]
  frozen = FrozenConfigDict({"steps": (1, 2)})
  assert _with_config_dicts(frozen) is frozen


def test_any_keyword_suits_a_function_that_takes_them():
  assert build({"make": f"{__name__}.anything", "whatever": 1}) == {"whatever": 1}


def test_locate():
  assert locate("vidjax.backbones.resnet.ResNet") is ResNet
