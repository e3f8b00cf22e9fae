"""What TSS reverses, by its algorithm (TTSN Table I): all clips of a batch or a random half, all channels or one.

Stated of a small network that runs: eta is 1 where all clips of a batch are reversed, rho where all channels are.
"""

import functools

import jax
import jax.numpy as jnp

from experiments.tables.command import run_table
from experiments.tables.row import Row, Stated, Table, numbers
from vidjax.backbones.resnet import MiniResNet
from vidjax.networks.ttsn import TTSN, Way

COLUMNS = "rho", "eta"
PRINTED: dict[Way, tuple[float, float]] = {"AA": (1, 1), "RA": (1, 0), "AR": (0, 1), "RR": (0, 0)}
FRAMES, CHANNELS = 3, 8


def state(way: Way) -> dict[str, float]:
  """rho and eta of an algorithm, from what the network reverses and what its head reads."""
  network = TTSN(MiniResNet((8, 8, 8, CHANNELS)), 2, ett=None, tss=way, tss_width=4)
  clips = jnp.zeros((4, FRAMES, 16, 16, 3))
  variables = network.init(jax.random.key(0), clips, False)
  run = functools.partial(network.apply, train=True, rngs={"dropout": jax.random.key(0)}, mutable=True)
  aux = run(variables, clips)[0].aux
  read = len(variables["params"]["reversal_head"]["layer0"]["kernel"])
  return {"rho": float(read == FRAMES * CHANNELS), "eta": float(aux["reversed"].all())}


TABLE = Table(
  "TTSN Table I",
  tuple(
    Row(way, numbers(COLUMNS, printed), cost=Stated(functools.partial(state, way))) for way, printed in PRINTED.items()
  ),
  units={"rho": "rho", "eta": "eta"},
  tolerance=0.0,
)

if __name__ == "__main__":
  run_table(TABLE)
