import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from vidjax.backbones.mobilenet import InvertedResidual
from vidjax.backbones.resnet import BasicBlock
from vidjax.backbones.stage import Stage
from vidjax.plugins.insert import Insert
from vidjax.plugins.se import SE

CLIP = jnp.zeros((1, 2, 8, 8, 4))


def paths(stage):
  return set(flatten_dict(jax.eval_shape(lambda: stage.init(jax.random.key(0), CLIP, False))["params"], sep="/"))


def test_blocks_of_any_kind_in_their_order():
  """The templates themselves hold no parameters."""
  stage = Stage((InvertedResidual(8, stride=2, expansion=3), BasicBlock(4)), 2)
  found = paths(stage)
  assert {path.split("/")[0] for path in found} == {"block0", "block1"}
  assert {"block0/conv3/kernel", "block1/shortcut_conv/kernel"} <= found
  output = jax.eval_shape(lambda: stage.init_with_output(jax.random.key(0), CLIP, False)[0])
  assert output.shape == (1, 2, 4, 4, 4)


def test_plugins_go_by_stage_and_block():
  inserts = (Insert(SE(2), "after", stages=(3,)), Insert(SE(2), "middle", blocks="last"))
  blocks = (BasicBlock(4), BasicBlock(4))
  sites = {number: {path for path in paths(Stage(blocks, number, inserts)) if "_SE" in path} for number in (2, 3)}
  places = {number: {"/".join(path.split("/")[:2]) for path in found} for number, found in sites.items()}
  assert places[2] == {"block1/middle_SE"}
  assert places[3] == {"block0/after_SE", "block1/after_SE", "block1/middle_SE"}


def test_recomputed_blocks_keep_their_fields_and_names():
  blocks, inserts = (BasicBlock(8, stride=2, frozen=True), BasicBlock(8)), (Insert(SE(2), "after"),)
  plain, recomputed = Stage(blocks, 2, inserts), Stage(blocks, 2, inserts, remat=True)
  variables = jax.eval_shape(lambda: plain.init(jax.random.key(0), CLIP, False))
  assert variables == jax.eval_shape(lambda: recomputed.init(jax.random.key(0), CLIP, False))

  def made(stage):
    return [(block.features, block.stride, block.frozen, block.inserts) for block in stage.bind(variables).blocks()]

  assert made(recomputed) == made(plain) == [(8, 2, True, inserts), (8, 1, False, inserts)]
