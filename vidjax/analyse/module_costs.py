"""Parameters, multiply-accumulates and activations of every module of a network; nothing is computed, only shapes."""

import dataclasses
import math
import re
from collections import Counter
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from vidjax.analyse.cost import macs_by_scope
from vidjax.checks import checked
from vidjax.layers import BatchNorm, Resize

Convention = Literal["real", "thop"]


@dataclasses.dataclass(frozen=True)
class ModuleCost:
  """What a module and all it holds cost for one clip.

  Attributes:
    path: names from the network down, joined by "/"; empty for the network itself.
    kind: its class.
    params: trainable numbers.
    macs: multiply-accumulates of the forward pass, in inference or in training.
    activations: elements of what it returns.
  """

  path: str
  kind: str
  params: int
  macs: int
  activations: int


@checked
def module_costs(
  network: nn.Module, clip_shape: tuple[int, ...], convention: Convention = "real", train: bool = False
) -> list[ModuleCost]:
  """The cost of each module, the whole network first, and each one's parts behind it in the order of execution.

  A module whose parts others call one by one, as BQN does with its pathways, returns what its last part does; one that
  is not called, such as a head for training alone where `train` is False, costs and returns nothing. Of a module called
  several times, "thop" and the activations count the first call.

  Args:
    network: called as `(clips, train)`.
    clip_shape: `[T, H, W, C]`.
    convention: "real" counts every convolution and matrix product that is executed, attention included. "thop" counts
      as the tables of the thesis do (thop 0.0.31): convolution, linear and BatchNorm modules only, one for each bias of
      a convolution, two for each normalised element and eleven for each one that BQN's connections resize to another
      size, so that convolutions with parameters of their own and attention are free.
    train: count the forward pass of a training step: heads and losses' parts that run there alone, such as TTSN's TSS
      (Table V). It is half of what two clips cost, since some networks train on pairs.
  """
  return all_module_costs(network, clip_shape, train)[convention]


def all_module_costs(
  network: nn.Module, clip_shape: tuple[int, ...], train: bool = False
) -> dict[Convention, list[ModuleCost]]:
  """What `module_costs` returns, for both conventions.

  Args:
    network: as there.
    clip_shape: `[T, H, W, C]`.
    train: as there.
  """
  batch = 2 if train else 1
  clip = jax.ShapeDtypeStruct((batch, *clip_shape), jnp.float32)
  kinds: dict[str, str] = {}
  elements: dict[str, int] = {}
  thop: Counter[str] = Counter()

  def mark(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
    path = "/".join(context.module.path)
    kinds.setdefault(path, type(context.module).__name__)
    with jax.named_scope(f"<{path}>"):  # Linen's own names leave out the owner of a part that others call
      return call(*args, **kwargs)

  def record(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
    path = "/".join(context.module.path)
    result = mark(call, args, kwargs, context)
    if context.method_name == "__call__" and path not in thop:
      thop[path] = _thop(context.module, args[0], result)
      size = sum(leaf.size for leaf in jax.tree.leaves(result))
      elements.update({place: size for place in _down_to(path) if place not in thop or place == path})
    return result

  def initialise(clip: jax.Array) -> Any:
    with nn.intercept_methods(mark):
      return network.init(jax.random.key(0), clip, False)

  def run(variables: Any, clip: jax.Array) -> Any:
    with nn.intercept_methods(record):
      changed = {"mutable": ["batch_stats", "aux"], "rngs": {"dropout": jax.random.key(0)}} if train else {}
      return network.apply(variables, clip, train, **changed)

  variables = jax.eval_shape(initialise, clip)
  real: Counter[str] = Counter()
  for scope, number in macs_by_scope(run, variables, clip).items():
    real[(re.findall("<([^<>]*)>", scope) or [""])[-1]] += number
  leaves: dict[str, Any] = flatten_dict(variables.get("params", {}), sep="/")  # pyright: ignore[reportAssignmentType]
  owners = [path.rpartition("/")[0] for path in leaves]
  held = dict.fromkeys(place for path in (*elements, *owners) for place in _down_to(path) if place in kinds)
  order = {path: i for i, path in enumerate(kinds)}
  paths = sorted(held, key=lambda path: [order.get(place, len(order)) for place in _down_to(path)])
  params = _with_parts(Counter({path: leaf.size for path, leaf in leaves.items()}))

  def rows(macs: Counter[str]) -> list[ModuleCost]:
    macs = _with_parts(macs)
    return [
      ModuleCost(path, kinds[path], params[path], macs[path] // batch, elements.get(path, 0) // batch) for path in paths
    ]

  return {"real": rows(real), "thop": rows(thop)}


def _down_to(path: str) -> list[str]:
  """The paths of the modules that hold a module, from the network down, and its own."""
  names = path.split("/")
  return ["", *("/".join(names[:i]) for i in range(1, len(names) + 1) if path)]


def _with_parts(numbers: Counter[str]) -> Counter[str]:
  """Of each place, its own number and those of all that it holds."""
  total: Counter[str] = Counter()
  for path, number in numbers.items():
    for place in _down_to(path):
      total[place] += number
  return total


def _thop(module: nn.Module, x: Any, y: Any) -> int:
  if isinstance(module, (BatchNorm, nn.BatchNorm)):
    return 2 * y.size
  if isinstance(module, nn.Dense):
    over_a_map = x.ndim > 3  # it stands for a 1x1x1 convolution of the released code
    return y.size * (x.shape[-1] + (over_a_map and module.use_bias))
  if isinstance(module, nn.Conv):
    size = (module.kernel_size,) if isinstance(module.kernel_size, int) else module.kernel_size
    taps = math.prod(size) * x.shape[-1] // module.feature_group_count
    return y.size * (taps + module.use_bias)
  return 11 * y.size if isinstance(module, Resize) and x.shape != y.shape else 0
