import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax.traverse_util import flatten_dict

from vidjax.backbones.resnet import BasicBlock, MiniResNet, ResNet
from vidjax.errors import ConfigError
from vidjax.inputs.tsp import TSP
from vidjax.layers import BatchNorm
from vidjax.plugins.insert import Insert, Inside, check_inserts, inserts_of
from vidjax.plugins.tsm import TSM, released_shift


def sites(insert: Insert, blocks: dict[int, int]) -> list[tuple[int, int]]:
  return [(s, b) for s, n in blocks.items() for b in range(n) if insert.chosen(s, b, n)]


def test_sites():
  blocks = {2: 3, 3: 4, 4: 6, 5: 3}
  assert len(sites(Insert(TSM(), "before"), blocks)) == 16
  assert sites(Insert(TSM(), "before", blocks="last"), blocks) == [(2, 2), (3, 3), (4, 5), (5, 2)]
  assert sites(Insert(TSM(), "before", stages=(3, 4), blocks=(0, 2, 4)), blocks) == [
    (3, 0),
    (3, 2),
    (4, 0),
    (4, 2),
    (4, 4),
  ]


def test_inserts_are_values():
  assert Insert(TSM(), "before") == Insert(TSM(8), "before")
  assert hash(Insert(TSM(), "before")) == hash(Insert(TSM(8), "before"))
  assert Insert(TSM(4), "before") != Insert(TSM(), "before")
  assert jax.tree.leaves(Insert(TSM(), "before")) == [Insert(TSM(), "before")]


def test_inserts_of_a_block_keep_their_order():
  first, second, other = (
    Insert(TSM(), "before"),
    Insert(TSM(4), "before"),
    Insert(TSM(), "after", stages=(5,)),
  )
  assert inserts_of((first, other, second), 2, 0, 1) == (first, second)


@pytest.mark.parametrize(
  ("module", "at", "message"),
  [
    (TSP(2, 1), "before", r"Insert\(TSP, 'before'\) makes float32 \(1, 1, 4, 4, 4\) of float32 \(1, 2, 4, 4, 4\)"),
    (TSP(2, 1), "after", r"keeps both; what changes the clip goes before the backbone"),
    (nn.Dense(4), "middle", r"middle_Dense: is not called as \(x, train\)"),
  ],
)
def test_what_is_no_plug_in_is_named(module, at, message):
  block = BasicBlock(4, inserts=(Insert(module, at),))
  with pytest.raises(ConfigError, match=message):
    jax.eval_shape(lambda: block.init(jax.random.key(0), jnp.zeros((1, 2, 4, 4, 4)), False))


def test_two_of_one_class_at_one_place_do_not_share():
  norm = Insert(BatchNorm(), "after")
  block = BasicBlock(4, inserts=(norm, norm))
  variables = jax.eval_shape(lambda: block.init(jax.random.key(0), jnp.zeros((1, 2, 2, 2, 4)), False))
  paths = flatten_dict(variables["params"], sep="/")
  assert {"after_BatchNorm/scale", "after_BatchNorm_2/scale"} <= set(paths)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ({"at": "behind"}, "at='behind'.*before, temporal"),
    ({"at": "after", "blocks": "first"}, "blocks='first'"),
    ({"at": "after", "stages": "last"}, "stages='last'.*must be 'all' or tuple.int"),
  ],
)
def test_a_wrong_place_is_named(arguments, message):
  with pytest.raises(ConfigError, match=message):
    Insert(TSM(), **arguments)


DEEP = {"stages": (2, 4), "blocks": (3,)}
"""Of a ResNet-50 res4 has such a block and res2 none."""


@pytest.mark.parametrize("backbone", [MiniResNet, ResNet])
@pytest.mark.parametrize("sites", [{"stages": (7,)}, {"stages": (2, 7)}, {"stages": ()}, {"blocks": (0, 9)}, DEEP])
def test_an_insert_without_a_site_is_an_error(backbone, sites):
  network = backbone(inserts=(Insert(TSM(), "before", **sites),))
  with pytest.raises(ConfigError, match=r"Insert\(TSM, .*has no site"):
    jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 1, 32, 32, 3)), False))


class EveryOther(nn.Module):
  """Halves the number of frames and has a parameter."""

  @nn.compact
  def __call__(self, x, train):
    return x[:, ::2] * self.param("scale", nn.initializers.ones, ())


@pytest.mark.parametrize("backbone", [MiniResNet, ResNet])
def test_a_module_inside_may_change_the_number_of_frames(backbone):
  network = backbone(inside=(Inside(EveryOther(), "stem"), Inside(EveryOther(), "res3")))
  clip = jnp.zeros((1, 8, 32, 32, 3))
  output, variables = jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), clip, False))
  assert output.shape[1] == 2
  assert {"after_stem_EveryOther", "after_res3_EveryOther"} <= set(variables["params"])


@pytest.mark.parametrize("backbone", [MiniResNet, ResNet])
def test_a_part_the_backbone_lacks_is_named(backbone):
  network = backbone(inside=(Inside(EveryOther(), "res7"),))
  with pytest.raises(ConfigError, match=r"after='res7'.*it has stem, res2"):
    jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 1, 32, 32, 3)), False))


def test_the_released_shift_of_resnet_101_sits_in_every_second_block():
  """TSM's code: where layer3 has 23 blocks, blocks 0, 2, ... of every stage, layer1 included."""
  assert released_shift(50) == Insert(TSM(), "before")
  found = sites(released_shift(101), {2: 3, 3: 4, 4: 23, 5: 3})
  expected = {2: [0, 2], 3: [0, 2], 4: [*range(0, 23, 2)], 5: [0, 2]}
  assert found == [(stage, block) for stage, blocks in expected.items() for block in blocks]
  check_inserts((released_shift(101),), {2: 3, 3: 4, 4: 23, 5: 3})
