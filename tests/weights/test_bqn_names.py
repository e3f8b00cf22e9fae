import pytest

from tests.networks.test_bqn import RELEASED, RELEASED_X3D
from tests.weights.released import SHIFT, filled, param_group_shapes, shapes_of
from vidjax.backbones.resnet import ResNet
from vidjax.backbones.x3d import X3D
from vidjax.networks.bqn import BQN
from vidjax.weights.load import load_weights


@pytest.mark.parametrize(
  ("model", "network"),
  [
    ("BQN R50 (bqn_resnet_reverse under src/model.py) npb", BQN(ResNet(50, inserts=(SHIFT,)), 174, **RELEASED)),
    ("BQN X3D-M (bqn_x3d_reverse under src/model.py) npb", BQN(X3D(), 174, **RELEASED_X3D)),
  ],
  ids=["resnet50", "x3d"],
)
def test_released_busy_quiet_networks(model, network, shared_golden):
  """By every name the released code has."""
  shapes = param_group_shapes(shared_golden / "param_groups_bqn.json", model)
  _, report = load_weights(shapes_of(network, size=128, frames=3), filled(shapes), network=network)
  assert sorted(report.loaded.values()) == sorted(shapes)
  assert not report.new
  assert not report.adapted
