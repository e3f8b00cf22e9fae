"""What a function costs, read off its jaxpr: nothing is computed, so shapes (`jax.eval_shape`) are input enough."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import Jaxpr, JaxprEqn


def count_macs(fn: Callable[..., Any], *args: Any) -> int:
  """Multiply-accumulates of the convolutions and matrix products that one call of `fn` executes.

  Padding counts as if it were data and the zeros that a dilated input holds do not, so the gradient of a convolution
  costs what the convolution costs, for its input and for its kernel each. `lax.scan` counts its body for every pass,
  `lax.cond` its dearest branch, `lax.platform_dependent` its default. What no result needs counts nothing, as XLA
  leaves it out; element-wise work counts nothing, a depthwise convolution written as a sum of shifted slices included.
  Several devices count together.

  Args:
    fn: a function of arrays, jitted or not, of gradients or not.
    *args: trees of arrays or `jax.ShapeDtypeStruct`.

  Raises:
    ValueError: a `lax.while_loop` holds such an operation, so the number depends on the data.
  """
  return sum(macs_by_scope(fn, *args).values())


def macs_by_scope(fn: Callable[..., Any], *args: Any) -> Counter[str]:
  """What `count_macs` counts, by the scope (`jax.named_scope`) the operation stands in."""
  return _of_jaxpr(jax.make_jaxpr(fn)(*args).jaxpr, "")


def _of_jaxpr(jaxpr: Jaxpr, scope: str) -> Counter[str]:
  macs: Counter[str] = Counter()
  used = set(map(id, jaxpr.outvars))
  for equation in reversed(jaxpr.eqns):
    if equation.effects or not used.isdisjoint(map(id, equation.outvars)):
      macs += _of_equation(equation, "/".join(filter(None, (scope, str(equation.source_info.name_stack)))))
      used.update(map(id, equation.invars))
  return macs


def _of_equation(equation: JaxprEqn, scope: str) -> Counter[str]:
  name, params = equation.primitive.name, equation.params
  inputs: list[Any] = [variable.aval for variable in equation.invars]
  outputs: list[Any] = [variable.aval for variable in equation.outvars]
  if name == "conv_general_dilated":
    kernel, numbers = inputs[1].shape, params["dimension_numbers"]
    taps = math.prod(kernel) // kernel[numbers.rhs_spec[0]]
    return Counter({scope: outputs[0].size * taps // math.prod(params["lhs_dilation"])})
  if name == "dot_general":
    shape = inputs[0].shape
    (contracted, _), _ = params["dimension_numbers"]
    return Counter({scope: outputs[0].size * math.prod(shape[axis] for axis in contracted)})
  inner = [_of_jaxpr(jaxpr, scope) for jaxpr in _inside(params)]
  if name == "cond" and params.get("branches_platforms"):
    return inner[-1]
  if name == "cond":
    return max(inner, key=Counter.total)
  macs = sum(inner, Counter())
  if name == "scan":
    return Counter({place: params["length"] * number for place, number in macs.items()})
  if name == "while" and macs:
    raise ValueError("a while_loop multiplies matrices an unknown number of times: use lax.scan to count it")
  return macs


def _inside(params: dict[str, Any]) -> Iterator[Jaxpr]:
  for value in params.values():
    for part in value if isinstance(value, (tuple, list)) else (value,):
      inner = getattr(part, "jaxpr", part)  # of a closed one
      if isinstance(inner, Jaxpr):
        yield inner
