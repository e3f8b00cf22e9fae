"""Segments of the sampler and of the network."""

import pytest

from vidjax.backbones.resnet import MiniResNet
from vidjax.backbones.tdn import TDN
from vidjax.data.sampling import Dense, UniformSegments
from vidjax.errors import ConfigError
from vidjax.inputs.channels import Channels
from vidjax.inputs.flow import Flow
from vidjax.inputs.mbpm import MBPM
from vidjax.inputs.one_frame import OneFrame
from vidjax.inputs.pwtp import PWTP
from vidjax.inputs.segments import check_segments
from vidjax.inputs.series import Series
from vidjax.inputs.tsp import TSP
from vidjax.networks.recognizer import Recognizer

PLAIN = MiniResNet()
FLOW_THEN_TSP = Series((Flow(4, stack=False), TSP(3)))


def network(representation=None, backbone=PLAIN):
  return Recognizer(backbone, 8, representation)


@pytest.mark.parametrize(
  ("made", "frames"),
  [
    (network(PWTP(8)), 4),
    (network(MBPM()), 4),
    (network(backbone=TDN(PLAIN)), 4),
    (network(FLOW_THEN_TSP), 3),
    (network(Series((Channels(0, 3), OneFrame(6)))), 4),
  ],
)
def test_what_reads_across_a_gap_is_an_error(made, frames):
  with pytest.raises(ConfigError, match=r"neighbouring frames each.*set --config\.sampler\.frames_per_segment="):
    check_segments(made, UniformSegments(6, frames))


@pytest.mark.parametrize(
  ("made", "sampler"),
  [
    (network(PWTP(4)), UniformSegments(2, 8)),  # two of them in a segment
    (network(FLOW_THEN_TSP), UniformSegments(2, 4)),  # TSP reads three flows
    (network(PWTP(8)), UniformSegments(8, 1)),  # no neighbours at all
    (network(PWTP(8)), Dense(16, 2)),
    (network(MBPM(stride=1)), UniformSegments(2, 4)),
    (network(), UniformSegments(2, 4)),
  ],
)
def test_what_does_not_is_none(made, sampler):
  check_segments(made, sampler)
