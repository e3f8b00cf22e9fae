"""Tables of the thesis' chapters 4 and 5: one training where they have a network in common, its sizes and views."""

import re

import jax
import jax.numpy as jnp
import pytest
from flax import traverse_util

from experiments.tables.found import tables
from experiments.tables.row import Training
from vidjax.command import config_with
from vidjax.evaluate.evaluation import parse_views
from vidjax.recipe import make_recipe

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
TABLES = tables()
TO_QUIET, TO_BUSY = "to_quiet", "to_busy"


def trainings(scale: str, *places: tuple[str, str]) -> list[Training]:
  return [next(iter(getattr(TABLES[f"thesis.table_{table}"].row(row), scale).values())) for table, row in places]


@pytest.mark.parametrize(
  "places",
  [
    (("4_2", "3x7x7"), ("4_3", "conv"), ("4_4", "1 RNL, gaussian")),
    (("4_4", "5 RNL, gaussian"), ("4_6", "RNL")),
    (("4_5", "none"), ("4_6", "base")),
    (("4_5", "1x1x1 + 3x3x3 + 3x7x7 + 3x9x9"), ("4_6", "CPA")),
    (("4_6", "SE + RNL"), ("4_7", "5 [SE+RNL] 8f"), ("4_8", "8f"), ("4_8", "8f 2x3")),
    (("5_3", "BQN"), ("5_4", "average after fc"), ("5_8", "224,224")),
    (("5_5", "+ res5"), ("5_6", "4")),
    (("5_6", "16"), ("5_7", "BPLC")),
    (("5_8", "160,256"), ("5_9", "BQN R50 48f 3x2")),
    (("5_9", "BQN R50 24f"), ("5_9", "BQN R50 24f 3x2")),
  ],
)
def test_what_tables_have_in_common_is_one_mini_training(places):
  assert len({(one.config, one.flags) for one in trainings("mini", *places)}) == 1
  assert len({TABLES[f"thesis.table_{table}"].epochs for table, _ in places}) == 1


def test_views_are_such_as_evaluate_takes():
  """CLIPSxCROPS; the thesis has frames x crops x clips."""
  for table in TABLES.values():
    for scale in ("mini", "full"):
      for _, _, training in table.trained(scale):
        for flag in training.evaluation:
          if flag.startswith("--views="):
            assert parse_views(flag.removeprefix("--views="))[1] in (1, 3)


@pytest.mark.parametrize("number", range(2, 7))
def test_chapter_4_is_tested_as_it_says(number):
  for _, column, training in TABLES[f"thesis.table_4_{number}"].trained("full"):
    views = {"K400": "10x3", "SSv1": "2x3"}[column]
    assert training.evaluation == (f"--views={views}", "--size=256", "--short_side=256")


@pytest.mark.parametrize("number", range(3, 8))
def test_tables_5_3_to_5_7_have_224_pixels(number):
  """And 48 at mini scale, in both pathways."""
  for scale, size, short_side in (("full", 224, 256), ("mini", 48, 48)):
    for row, _, training in TABLES[f"thesis.table_5_{number}"].trained(scale):
      config = config_with(training.config, training.flags)
      assert (
        config["model"].get("quiet_size", size) == config["transforms"][0]["size"] == config["test"]["size"] == size
      )
      assert config["test"]["short_side"] == short_side
      if row.name == "Quiet" and scale == "mini":
        assert config["model"]["representation"]["scale"] == 1


def parameters(training: Training) -> set[str]:
  recipe = make_recipe(config_with(training.config, training.flags), [str(i) for i in range(8)])
  clip = jnp.zeros((1, *recipe.clip_shape))
  made = jax.eval_shape(lambda clip: recipe.network.init(jax.random.key(0), clip, False), clip)
  return {"/".join(path) for path in traverse_util.flatten_dict(made["params"])}


def connections(table: str, row: str) -> list[tuple[int, int, str]]:
  """(stage, block, direction) of each."""
  places = (re.match(r"res(\d)_block(\d+)_(to_\w+)/", path) for path in parameters(*trainings("mini", (table, row))))
  return sorted({(int(one[1]), int(one[2]), one[3]) for one in places if one})


def test_mini_connections_are_as_many_as_printed_and_pass_the_same_ways():
  """Table 5.5: pairs 1, 4, 8 and 14 of 16; Fig. 5.5: odd ones pass to Quiet."""
  first = [(2, 0, TO_QUIET), (3, 0, TO_BUSY), (4, 0, TO_BUSY), (5, 0, TO_BUSY)]
  assert connections("5_5", "res2") == first[:1]
  assert connections("5_5", "+ res5") == first
  for name in ("8", "16"):
    assert len(connections("5_6", name)) == int(name)


def test_a_kernel_of_one_place_is_no_f_theta():
  theta = {
    name: any("theta" in path for path in parameters(*trainings("mini", ("4_2", name)))) for name in ("1x1x1", "3x1x1")
  }
  assert theta == {"1x1x1": False, "3x1x1": True}
