"""Options of configs: every combination is a whole config or an error, and none is silent."""

import importlib
import itertools
import json
import re

import pytest

from configs import _sets, attention, bqn, dan, deep_residual, inputs, mix, tdrl, tesnet, tsm, ttsn
from configs._options import Several
from tests.test_configs import VARIANTS
from vidjax.build import build
from vidjax.recipe import data_of, make_optimizer, settings_of
from vidjax.sections import check_sections


def every_argument(module, names):
  """All combinations of options; a value that is the default is left out."""
  for name in names:
    for values in itertools.product(*module.OPTIONS.values()):
      given = zip(module.OPTIONS.items(), values, strict=True)
      yield ",".join([name, *(f"{key}={value}" for (key, choices), value in given if value != choices[0])])


RECIPES = {
  attention: (*attention.RECIPES, "mini"),
  bqn: bqn.NAMES,
  dan: (*_sets.SETS, "mini"),
  inputs: tuple(inputs.FULL),
  tdrl: (*tdrl.RECIPES, "mini"),
  tsm: (*tsm.RECIPES, *_sets.SMALL),
  ttsn: (*ttsn.RECIPES, "mini"),
}


SCRATCH = r"^(?!.*x3d).*start=scratch|^\w*kinetics.*start=scratch"
REFUSED = {
  attention: r"^mini,.*depth=|attention=none,blocks=1",
  bqn: rf"^mini\w*,|{SCRATCH}",
  dan: rf"^mini,.*(backbone|start)=|{SCRATCH}",
  inputs: r"^(?!.*data=)(stored_flow|.*backbone=)",
  tdrl: r"tm=none,(enhance=\w+,)?td=before|tm=none,enhance=pem_after,td=none",
  tsm: rf"x3d.*(frames|shift|sampling)=|^(?!kinetics).*sampling=dense|{SCRATCH}",
  ttsn: r"^mini,.*(backbone|pretrain)=",
}
"""The arguments with an option that says nothing, or something that there is no recipe for."""


@pytest.mark.parametrize("module", RECIPES, ids=lambda module: module.__name__)
def test_every_combination_of_options_is_a_whole_config(module):
  """All there are, without a network's shapes; of those with a network of their own, each is built once."""
  seen = set()
  for arg in every_argument(module, RECIPES[module]):
    if re.search(REFUSED[module], arg):
      with pytest.raises(ValueError, match=rf"^configs/\w+\.py:{re.escape(arg)}: .*(leave|choose|X3D|add)"):
        module.get_config(arg)
      continue
    config = json.loads(module.get_config(arg).to_json())
    check_sections(config)
    settings, data = settings_of(config), data_of(config)
    build(config["schedule"], epochs=settings.epochs)(10)
    published = [one for one in _sets.SETS.values() if one.name == data.name]
    if published:
      assert (data.validation_split, data.fold) == (published[0].validation, published[0].fold)
      flip = build(config["transforms"][-1])
      assert (flip.swap == _sets.LEFT_RIGHT) == (flip.probability == 0) == published[0].is_something
    parts = ("sampler", "transforms", "test", "normalise", "losses", "blend", "optimizer")
    for name in parts:
      text = json.dumps(config[name])
      if (name, text) not in seen:
        seen.add((name, text))
        make_optimizer(config[name], lambda step: 0.1) if name == "optimizer" else build(config[name])
    text = json.dumps(config["model"])
    if text not in seen:
      seen.add(text)
      build(config["model"], num_classes=5)
  assert seen


def pairs_of_options(module, names):
  """Each value but the defaults, alone and beside another option: without it, and with it."""
  options = [(key, value) for key, values in module.OPTIONS.items() for value in values[not_several(values) :]]
  for name, (key, value) in itertools.product(names, options):
    for other in ("", *(f",{one}={two}" for one, two in options if one != key)):
      yield f"{name}{other}", f"{name}{other},{key}={value}"


def not_several(values):
  return 0 if isinstance(values, Several) else 1


@pytest.mark.parametrize("module", [*RECIPES, mix], ids=lambda module: module.__name__)
def test_no_option_is_silent(module):
  """It changes the config, or is an error. What a source of `attention` has no word on stays as it is."""
  made = {}
  names = RECIPES.get(module, ("rgb", "tsp"))
  for pair in pairs_of_options(module, names):
    for arg in pair:
      if arg not in made:
        try:
          made[arg] = module.get_config(arg).to_json()
        except ValueError:
          made[arg] = None
    without, given = (made[arg] for arg in pair)
    same_in_all_sources = "source=" in pair[1] and re.search(r"attention=(none|nl|cpa|cbam|gc|rnl)", pair[1])
    assert given is None or given != without or same_in_all_sources, f"{pair[1]} is {pair[0]}"
  assert sum(one is not None for one in made.values()) > len(names)


GATES = "-mixed", "-sparse", "-hard", "-straight_through", "-binary_neuron", "-open"


@pytest.mark.parametrize("stem", sorted({*VARIANTS} - {module.__name__.partition(".")[2] for module in RECIPES}))
def test_all_names_of_a_config_differ(stem):
  args = {
    "deep_residual": [f"{name}{end}" for name in deep_residual.SIZES for end in ("", "-kmeans", "-raw")],
    "rtsae_dscnn": [
      f"{name}{end}"
      for name in ("ucf101", "hmdb51", "mini")
      for end in ("", "-p1", "-p3", "-depth1", "-depth3", *GATES)
    ],
    "tesnet": [f"{name}-{end}" for name in tesnet.RATES for end in (*tesnet.SETTINGS, *tesnet.SEGMENTS)],
  }.get(stem, VARIANTS[stem])
  made = [importlib.import_module(f"configs.{stem}").get_config(arg).to_json() for arg in args]
  assert len({*made}) == len(args)


@pytest.mark.parametrize(
  ("arg", "message"),
  [
    ("ucf101,frames=16,frames=8", r"configs/tsm\.py:ucf101,frames=16,frames=8: frames is given twice: leave one of"),
    ("ucf101,sampling=dense", r"sampling=dense goes with kinetics400: leave it out"),
    ("ssv1,backbone=x3d_m,frames=8", r"an X3D has frames of its own and no shift: leave frames out"),
    ("kinetics400,sampling=dense,backbone=x3d_m", r"an X3D has frames of its own and no shift: leave sampling out"),
  ],
)
def test_options_that_say_nothing_or_two_things(arg, message):
  with pytest.raises(ValueError, match=message):
    tsm.get_config(arg)


def test_a_wrong_option_of_tdrl_names_the_right_ones():
  with pytest.raises(ValueError, match=r"td=off is no option; there are frames=8\|16; .*td=after\|before\|none"):
    tdrl.get_config("ssv1,td=off")
