"""Parameters, multiply-accumulates and activations of every module of a network; nothing is computed, only shapes."""

import dataclasses
import math
from collections import Counter
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from vidjax.analyse.cost import macs_by_scope
from vidjax.layers import BatchNorm, Resize

Convention = Literal["real", "thop"]


@dataclasses.dataclass(frozen=True)
class ModuleCost:
  """What a module and all it holds cost for one clip.

  Attributes:
    path: names from the network down, joined by "/"; empty for the network itself.
    kind: its class.
    params: trainable numbers.
    macs: multiply-accumulates of the forward pass.
    activations: elements of what it returns.
  """

  path: str
  kind: str
  params: int
  macs: int
  activations: int


def module_costs(network: nn.Module, clip_shape: tuple[int, ...], convention: Convention = "real") -> list[ModuleCost]:
  """The cost of each module, the whole network first, and each one's parts behind it in the order of execution.

  A module whose parts others call one by one, as BQN does with its pathways, returns what its last part does.

  Args:
    network: called as `(clips, train)`.
    clip_shape: `[T, H, W, C]`.
    convention: "real" counts every convolution and matrix product that is executed, attention included. "thop" counts
      as the tables of the thesis do (thop 0.0.31): convolution, linear and BatchNorm modules only, one for each bias of
      a convolution, two for each normalised element and eleven for each one that BQN's connections resize, so that
      convolutions with parameters of their own and attention are free.

  Raises:
    ValueError: another convention.
  """
  if convention not in ("real", "thop"):
    raise ValueError(f"convention={convention!r}: must be real or thop")
  clip = jax.ShapeDtypeStruct((1, *clip_shape), jnp.float32)
  variables = jax.eval_shape(lambda clip: network.init(jax.random.key(0), clip, False), clip)
  seen: dict[str, tuple[str, int]] = {}
  called: set[str] = set()
  thop: Counter[str] = Counter()

  def record(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
    path = "/".join(context.module.path)
    first = context.method_name == "__call__" and path not in called
    owners = []
    if first:
      called.add(path)
      owners = [module for module in _owners(context.module) if "/".join(module.path) not in called]
      for module in (*owners, context.module):  # keeps the order of the calls
        seen.setdefault("/".join(module.path), (type(module).__name__, 0))
    result = call(*args, **kwargs)
    if first:
      thop[path] = _thop(context.module, args[0], result)
      elements = sum(leaf.size for leaf in jax.tree.leaves(result))
      for module in (*owners, context.module):
        seen["/".join(module.path)] = (type(module).__name__, elements)
    return result

  def run(variables: Any, clip: jax.Array) -> Any:
    with nn.intercept_methods(record):
      return network.apply(variables, clip, False)

  scopes = macs_by_scope(run, variables, clip)
  root = type(network).__name__
  real = Counter({scope.removeprefix(root).lstrip("/"): macs for scope, macs in scopes.items()})
  leaves: dict[str, Any] = flatten_dict(variables.get("params", {}), sep="/")  # pyright: ignore[reportAssignmentType]
  params = {path: leaf.size for path, leaf in leaves.items()}
  macs = real if convention == "real" else thop
  order = {path: i for i, path in enumerate(seen)}
  return [
    ModuleCost(path, kind, _under(path, params), _under(path, macs), elements)
    for path, (kind, elements) in sorted(seen.items(), key=lambda item: _place(item[0], order))
  ]


def _owners(module: nn.Module) -> list[nn.Module]:
  """The modules that hold a module, from the network down."""
  owners = []
  while isinstance(module.parent, nn.Module):
    module = module.parent
    owners.insert(0, module)
  return owners


def _place(path: str, order: dict[str, int]) -> list[int]:
  """Sorts paths as a tree: a module before its parts, and parts of one module in the given order."""
  names = path.split("/")
  return [order["/".join(names[:i])] for i in range(1, len(names) + 1)] if path else []


def _under(path: str, numbers: dict[str, int]) -> int:
  return sum(n for key, n in numbers.items() if not path or key == path or key.startswith(f"{path}/"))


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
  return 11 * y.size if isinstance(module, Resize) else 0
