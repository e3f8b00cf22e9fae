"""Networks of this package against released PyTorch code, on weights and a clip that anyone can make.

`references/NAME.json` holds what the released code answered: its logits, the names and shapes of its state dict, its
commit, and how far its float32 is from its float64. `experiments/parity.py` writes it.
"""

import functools
import json
import pathlib
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.backbones.mobilenet import TSM_BLOCKS, MobileNetV2
from vidjax.backbones.resnet import ResNet
from vidjax.backbones.tdn import TDN
from vidjax.backbones.x3d import X3D
from vidjax.networks.bqn import BQN
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.chain import Chain
from vidjax.plugins.insert import Insert
from vidjax.plugins.rnl import RNL
from vidjax.plugins.se import SpaceTimeSE
from vidjax.plugins.tsm import TSM
from vidjax.types import Output
from vidjax.verify import made, transformers
from vidjax.weights.load import load_weights

FOLDER = pathlib.Path(__file__).parent / "references"
TOLERANCE = 2e-5
"""Of the largest difference of two logits, as a share of the largest logit."""

SHIFT = Insert(TSM(8), "before")
GATE = SpaceTimeSE(reduction=2, pool="attention", bias=True, momentum=0.99)
RNLS = (
  Insert(Chain((GATE, RNL((3, 7, 7)))), "after", (3,), (0,)),
  Insert(RNL((3, 7, 7)), "after", (3,), (2,)),
  Insert(RNL((3, 3, 3)), "after", (4,), (0, 2, 4)),
)
NETWORKS: dict[str, nn.Module] = {
  "tsm_resnet50": Recognizer(ResNet(50, inserts=(SHIFT,)), 174),
  "tsm_mobilenet_v2": Recognizer(MobileNetV2(inserts=(Insert(TSM(8), "before", blocks=TSM_BLOCKS),)), 174),
  "tdn_resnet50": Recognizer(TDN(ResNet(50)), 174),
  "x3d_m": Recognizer(X3D(), 400, consensus="features", hidden=2048),
  "rnl_resnet50": Recognizer(ResNet(50, inserts=(SHIFT, *RNLS)), 174),
  "bqn_resnet50": BQN(ResNet(50, inserts=(SHIFT,)), 174, quiet_form="first", to_quiet="identity"),
  **transformers.NETWORKS,
}


class Found(NamedTuple):
  """What a check found.

  Attributes:
    error: the largest difference of two logits, as a share of the largest.
    noise: that of the released code's float32 and float64.
    source: repository and commit of the released code.
    arrays: number of the arrays that its state dict filled.
  """

  error: float
  noise: float
  source: str
  arrays: int

  @property
  def agrees(self) -> bool:
    """Whether the error is within `TOLERANCE`."""
    return self.error <= TOLERANCE


def check(name: str) -> Found:
  """Runs the network of a name on the weights and the clip of its reference, in float32.

  Args:
    name: a key of `NETWORKS`.
  """
  reference: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
  network = NETWORKS[name]
  frames, size = reference["clip"]
  x = made.clip(frames, size)[None].astype(np.float32) / np.float32(255)
  x = (x - np.array(reference["mean"], np.float32)) / np.array(reference["std"], np.float32)
  shapes = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), jnp.asarray(x))
  features = reference.get("answer") == "features" and isinstance(network, Recognizer)
  new = ("classifier",) if features else ()
  fresh = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  variables, report = load_weights(fresh, made.tensors(reference["tensors"]), network=network, new=new)
  with jax.default_matmul_precision("highest"):
    output = _answer(network, variables, x)
  answer = output if not isinstance(output, Output) else output.features if features else output.logits
  theirs = np.array(reference["logits"], np.float32)
  error = float(np.abs(np.asarray(answer).ravel() - theirs).max() / np.abs(theirs).max())
  return Found(error, reference["noise"], reference["source"], len(report.loaded))


@functools.partial(jax.jit, static_argnums=0)
def _answer(network: nn.Module, variables: Any, x: jax.Array) -> Any:
  """What a network says of clips; references that share a network share its compilation."""
  return network.apply(variables, x, False)
