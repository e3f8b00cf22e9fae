"""Mixes of inputs, backbones, plug-ins and losses: each is a whole network, and they are ranked."""

import json

import jax
import jax.numpy as jnp
import pytest

from configs import mix as config
from experiments import mix
from experiments.tables.shown import Spread
from experiments.tables.sweep import folder_name
from vidjax.build import build
from vidjax.errors import InputError
from vidjax.sections import check_sections

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
ALL = (*mix.MIXES, *mix.PUBLISHED)


def test_every_mix_is_a_whole_config():
  assert len(mix.MIXES) >= 24
  assert not set(mix.MIXES) & set(mix.PUBLISHED)
  assert len({folder_name(mix.name_of(one), "", 0) for one in ALL}) == len(ALL)
  for one in ALL:
    c = json.loads(config.get_config(mix.config(one).partition(":")[2]).to_json())
    check_sections(c)
    build(c["losses"])
    build(c["blend"])
    build(c["model"], num_classes=8)


def test_plugins_keep_their_order_and_losses_their_weights():
  c = config.get_config("pwtp,plugins=pem+tim+rnl,losses=projection+diversity")
  places = [(one["module"]["make"].rpartition(".")[2], one["at"]) for one in c.model.backbone.inserts]
  assert places == [("PEM", "before"), ("TIM", "before"), ("TDLoss", "before"), ("RNL", "after")]
  assert c.blend.weights.to_dict() == {"projection": 0.5, "temporal_diversity": 7.5e-3}
  assert [loss["make"].rpartition(".")[2] for loss in c.losses] == ["CrossEntropy", "Projection", "TemporalDiversity"]


@pytest.mark.parametrize(
  ("arg", "message"),
  [
    ("rgb,plugins=tsm+nonsense", "plugins=tsm.nonsense is no option; there are .*tsm.tim.pem"),
    ("rgb,plugins=tsm+tim+tsm", "plugins=tsm.tim.tsm: plugins names tsm twice: leave one of the two out"),
    ("rgb,losses=reversal+reversal", "losses names reversal twice"),
    ("rgb,plugins=none+tsm", "is no option; there are .*plugins=none, or one or more of tsm.tim.pem"),
    ("rgb,losses=none,blend=mgda", "blend=mgda joins several losses: add losses="),
    ("rgb,losses=projection", "losses=projection is of tsp and pwtp"),
    ("rgb,plugins=st_adapter", "st_adapter has its places in a ViT: choose backbone=vit"),
    ("rgb,blend=mgda", "blend=mgda joins several losses: add losses="),
    ("mbpm,backbone=tdn", "TDN makes its own input of five frames: choose rgb"),
    ("film", "choose rgb, "),
  ],
)
def test_what_cannot_be_is_an_error(arg, message):
  with pytest.raises(ValueError, match=message):
    config.get_config(arg)


def test_none_is_a_word_for_no_plugin_and_no_loss():
  assert config.get_config("rgb,plugins=none,losses=none") == config.get_config("rgb,plugins=,losses=")
  assert config.get_config("rgb,plugins=none,losses=none") == config.get_config("rgb")


def test_a_product_leaves_out_what_cannot_be():
  mixes, left_out = mix.product(["rgb", "mbpm"], ["tdn"], ["none", "rnl"], ["none"], "mgda")
  assert mixes == [("rgb", "tdn", "", "", "weighted"), ("rgb", "tdn", "rnl", "", "weighted")]
  assert [line.partition(":")[0] for line in left_out] == ["mbpm, tdn", "mbpm, tdn, rnl"]


def test_a_misspelt_part_is_an_error():
  with pytest.raises(InputError, match="--plugins: there is no 'rnk': choose none, tsm, tim"):
    mix.product(["rgb"], ["resnet"], ["tim+rnk"], ["none"], "mgda")
  with pytest.raises(InputError, match="--inputs: there is no 'film': choose rgb"):
    mix.product(["film"], ["resnet"], ["none"], ["none"], "mgda")


def test_mixes_are_ranked_with_their_cost():
  table = mix.table((mix.MIXES[12], mix.PUBLISHED[3], mix.MIXES[11]))
  numbers = {table.rows[0].name: Spread(40.0, 39, 41, 3), "rgb, x3d": Spread(50.0, 50, 50, 1)}
  measured = {name: {"top-1 %": spread} for name, spread in numbers.items()}
  lines = mix.ranking(table, measured, 3).splitlines()[2:-4]
  assert [line.split(" | ")[1] for line in lines] == ["rgb, x3d", "rgb, x3d, cpa"]
  text = mix.ranking(table, measured, 3)
  assert "Not finished: rgb, x3d (1 of 3 seeds); rgb, x3d, pem+rnl (0 of 3 seeds)." in text
  assert "Not finished" not in mix.ranking(mix.table(mix.PUBLISHED[3:4]), measured, 1)
  assert lines[0] == "| 1 | rgb, x3d | yes | 50 | 48 | 13.9 | 12.9 | 1.00 | 1.00 |"


def test_a_plugin_that_outgrows_its_backbone_shows():
  """The parameters of both, counted from arrays."""
  big = mix.costs(mix.table([("rgb", "mobilenet", "ett", "", "weighted")]).rows[0])

  def params(arg):
    network = build(json.loads(config.get_config(arg).to_json())["model"], num_classes=8)
    made = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 8, 48, 48, 3)), False))
    return sum(x.size for x in jax.tree.leaves(made["params"]))

  own, alone = params("rgb,backbone=mobilenet,plugins=ett"), params("rgb,backbone=mobilenet")
  assert own > 8 * alone
  assert (big[0], big[3]) == (f"{own / 1000:.0f}", f"{own / alone:.2f}")
