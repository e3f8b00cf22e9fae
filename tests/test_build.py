import dataclasses
import functools
import importlib
import inspect
import json
import math
import pkgutil
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import flax.linen as nn
import hypothesis
import jax.numpy as jnp
import pytest
from hypothesis import strategies as st
from ml_collections import ConfigDict, FrozenConfigDict

import vidjax.backbones
import vidjax.inputs
import vidjax.losses
import vidjax.networks
import vidjax.plugins
from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.build import _with_config_dicts, arguments_of, build, described, locate
from vidjax.checks import check_fields
from vidjax.command import read_config
from vidjax.errors import ConfigError, InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.se import SE
from vidjax.plugins.tsm import TSM
from vidjax.train.multitask import MGDA, Weighted
from vidjax.train.optimizer import Group
from vidjax.train.schedules import Scale, steps

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


ROOMS = (vidjax.plugins, vidjax.inputs, vidjax.backbones, vidjax.losses, vidjax.networks)


def parts() -> list[type]:
  """Every public dataclass of the rooms, Linen modules among them."""
  names = [one.name for room in ROOMS for one in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")]
  found = [made for name in names for made in vars(importlib.import_module(name)).values() if inspect.isclass(made)]
  mine = (made for made in found if dataclasses.is_dataclass(made) and made.__module__ in names)
  return sorted({made for made in mine if not made.__name__.startswith("_")}, key=lambda made: made.__qualname__)


def values(kind: Any) -> st.SearchStrategy | None:
  """Values of an annotated type; None for functions and whatever else no config holds."""
  origin, inner = get_origin(kind), get_args(kind)
  if origin is Annotated:
    return values(inner[0])
  if origin is Literal:
    return st.sampled_from(inner)
  if origin in (Union, UnionType):
    some = [one for one in map(values, inner) if one is not None]
    return st.one_of(some) if some else None
  if origin is tuple:
    each = [values(one) for one in inner if one is not ...]
    if None in each:
      return None
    return st.lists(each[0], max_size=3).map(tuple) if ... in inner else st.tuples(*each)
  if kind is nn.Module:
    return st.one_of(made(TSM), made(SE), st.just(MiniResNet((8, 8, 8, 8))))
  if dataclasses.is_dataclass(kind):
    return made(kind)
  plain = {bool: st.booleans(), int: st.integers(1, 9), float: st.floats(0.01, 0.99), NoneType: st.none()}
  return {**plain, str: st.sampled_from(("a", "block1/2", "9"))}.get(kind)


@functools.cache
def made(cls: type) -> st.SearchStrategy:
  """Objects of a class whose fields take what they are annotated with, each set or left at its default."""

  @st.composite
  def draw_one(draw) -> Any:
    fields = {name: (values(p.annotation), p.default is not p.empty) for name, p in arguments_of(cls).items()}
    chosen = {
      name: draw(strategy)
      for name, (strategy, optional) in fields.items()
      if strategy is not None and (not optional or draw(st.booleans()))
    }
    try:
      one = cls(**chosen)
      check_fields(one)
    except InputError:  # a rule between fields, or a bound
      hypothesis.reject()
    return one

  return draw_one()


def needs_a_function(cls: type) -> bool:
  """Whether a class cannot be made from a config."""
  return any(values(p.annotation) is None and p.default is p.empty for p in arguments_of(cls).values())


def test_the_walk_finds_parts_of_every_room():
  rooms = {made.__module__.split(".")[1] for made in parts()}
  assert rooms == {room.__name__.split(".")[1] for room in ROOMS}
  assert {TSM, Insert, Recognizer, MiniResNet} <= {*parts()}
  assert len([cls for cls in parts() if not needs_a_function(cls)]) > 40


@pytest.mark.parametrize("cls", [cls for cls in parts() if not needs_a_function(cls)])
@hypothesis.given(data=st.data())
@hypothesis.settings(
  max_examples=15, deadline=None, database=None, suppress_health_check=[*hypothesis.HealthCheck], derandomize=True
)
def test_what_is_described_builds_what_it_was(cls, data):
  one = data.draw(made(cls))
  config = described(one)
  assert build(config) == one
  assert build(json.loads(json.dumps(config))) == one  # as a run's folder keeps it
  assert {*config} - {"make"} <= {*arguments_of(cls)}
  assert build(described(one, *arguments_of(cls))) == one


@pytest.mark.parametrize(
  "value",
  [
    (Insert(TSM(4), "before"), Insert(SE(), "after", stages=(2, 3), blocks="last")),
    {"spatial": Recognizer(MiniResNet(), 5), "of": (1, 2.5, None, "x", True)},
    Weighted({"classification": 1.0, "projection": Scale(0.1, rest=True)}),
    MGDA(("representation", "backbone")),
    (Group("/bias$", rate=2.0, decay=0.0), Group("", 1.0)),
    BUILT,
  ],
)
def test_nested_values_come_back(value):
  assert build(described(value)) == value


def test_only_what_differs_from_the_defaults_is_written():
  insert = {"make": "vidjax.plugins.insert.Insert", "module": {"make": "vidjax.plugins.tsm.TSM"}, "at": "before"}
  assert described(Insert(TSM(fold_div=8), "before")) == insert
  assert described(Insert(TSM(fold_div=8), "before"), "fold_div")["module"]["fold_div"] == 8
  assert described(Weighted({})) == {"make": "vidjax.train.multitask.Weighted"}
  assert described(Takes(1, 2), "second") == {"make": HERE, "first": 1, "second": 2}


def test_a_partial_is_a_call_that_build_completes():
  config = described(functools.partial(steps, learning_rate=0.1, at=(2.0,), factor=0.1))
  assert config == {"make": "vidjax.train.schedules.steps", "learning_rate": 0.1, "at": (2.0,), "factor": 0.1}
  assert math.isclose(build(config, epochs=4.0)(10)(25), 0.01, rel_tol=1e-6)
  assert described(functools.partial(Takes, 3)) == {"make": HERE, "first": 3}


def test_what_no_config_can_hold():
  @dataclasses.dataclass(frozen=True)
  class Local:
    pass

  for value in (jnp.zeros(2), nn.relu, {"weights": {"a": abs}}, object(), Local(), TSM, TSM(jnp.zeros(2))):
    with pytest.raises(ConfigError) as raised:
      described(value)
    assert isinstance(raised.value, TypeError)
