import numpy as np
import pytest

from tests.weights.released import SHIFT, check_golden_block, filled, param_group_shapes, shapes_of
from vidjax.backbones.resnet import ResNet
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.chain import Chain
from vidjax.plugins.insert import Insert
from vidjax.plugins.rnl import RNL
from vidjax.plugins.se import SpaceTimeSE
from vidjax.weights.load import load_weights

RNL_SITES = ((3, (0, 2), (3, 7, 7)), (4, (0, 2, 4), (3, 3, 3)))


@pytest.mark.parametrize("aggregation", ["conv", "grouped"])
def test_released_rnl_network(aggregation, shared_golden):
  """RNL's own ResNet-50 with its channel gates, by every name its code has, and the diagonals of its kernels."""
  shapes = param_group_shapes(shared_golden / "param_groups_rnl.json", "RNL npb fc_lr5")
  gated = {tuple(name.split(".")[1:3]) for name in shapes if ".cg." in name}

  def plugin(stage, block, kernel):
    rnl = RNL(kernel, aggregation=aggregation)
    gate = SpaceTimeSE(2, pool="attention", bias=True)
    return Chain((gate, rnl)) if (f"layer{stage - 1}", str(block)) in gated else rnl

  sites = [(stage, block, kernel) for stage, blocks, kernel in RNL_SITES for block in blocks]
  inserts = tuple(Insert(plugin(*site), "after", site[:1], site[1:2]) for site in sites)
  network = Recognizer(ResNet(50, inserts=(SHIFT, *inserts)), shapes["new_fc.bias"][0])
  tensors = filled(shapes)
  variables, report = load_weights(shapes_of(network), tensors, network=network)
  assert not report.new
  assert sorted(report.loaded.values()) == sorted(set(shapes) - set(report.unused))
  assert {name.rpartition("nl.")[2].rpartition("cg.")[2] for name in report.unused} == {"penta.mask", "W_k.bias"}
  weight = tensors["base_model.layer2.2.nl.penta.weight"]
  kernel = variables["params"]["backbone"]["res3"]["block2"]["after_RNL"]["theta"]["kernel"]
  if aggregation == "grouped":
    np.testing.assert_array_equal(kernel, weight.transpose(2, 3, 4, 1, 0))
    assert not report.adapted
  else:
    assert len(report.adapted) == len(sites)
    for channel in (0, 31, 32, 255):
      np.testing.assert_array_equal(kernel[..., 0, channel], weight[channel, channel % 32])


@pytest.mark.filterwarnings("ignore::vidjax.weights.load.ReleasedSettings")  # variants that were never trained
@pytest.mark.parametrize(
  ("variant", "module"),
  [
    ("gauss_k357", RNL((3, 5, 7))),
    ("gauss_sub", RNL((3, 3, 3), sub_sample=True)),
    ("gauss_nobn", RNL((3, 3, 3), batch_norm=False)),
    ("cosine_k333", RNL((3, 3, 3), form="cosine")),
  ],
)
def test_golden_rnl_block(variant, module, shared_golden):
  check_golden_block(shared_golden / "rnl_block.npz", variant, module)
