"""A function again, in the operations that jax2onnx 0.17.1 can write as ONNX.

jax2onnx replaces functions of JAX by its own while it traces, and what these cannot do fails. Here a function is traced
by JAX alone; then its jaxpr is evaluated equation by equation. Inner functions are called in place, of the forms that
`lax.platform_dependent` offers the one for all platforms is taken, and what jax2onnx refuses is put in other words.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Jaxpr, Literal

Rule = Callable[..., Sequence[Any]]
NARROW = (np.dtype("bool"), np.dtype("int8"), np.dtype("int16"))


def plain(fn: Callable[..., Any], *specs: jax.ShapeDtypeStruct) -> Callable[..., tuple[Any, ...]]:
  """`fn` in other words; what it returns becomes a tuple of arrays.

  Args:
    fn: of arrays.
    *specs: shapes and types of its arguments; a dimension may be symbolic.
  """
  closed = jax.make_jaxpr(fn)(*specs)
  return lambda *args: tuple(evaluate(closed.jaxpr, closed.consts, *args))


def evaluate(jaxpr: Jaxpr, consts: Sequence[Any], *args: Any) -> list[Any]:
  """What a jaxpr computes, equation by equation, by the rules of this file where there is one.

  Args:
    jaxpr: of any function.
    consts: its constants.
    *args: its arguments.
  """
  values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
  for equation in jaxpr.eqns:
    given = [x.val if isinstance(x, Literal) else values[x] for x in equation.invars]
    with jax.named_scope(str(equation.source_info.name_stack)):  # the path of the module, for messages
      found = RULES.get(equation.primitive.name, _bind)(equation, *given)
    values |= dict(zip(equation.outvars, found, strict=True))
  return [x.val if isinstance(x, Literal) else values[x] for x in jaxpr.outvars]


def _bind(equation: Any, *args: Any) -> Sequence[Any]:
  found = equation.primitive.bind(*args, **equation.params)
  return found if equation.primitive.multiple_results else [found]


def _inner(value: Any) -> Callable[..., list[Any]]:
  """The function of an inner jaxpr, closed or not."""
  return functools.partial(evaluate, getattr(value, "jaxpr", value), getattr(value, "consts", ()))


def _called(equation: Any, *args: Any) -> Sequence[Any]:
  params = equation.params
  return _inner(params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"])(*args)


def _cond(equation: Any, index: Any, *args: Any) -> Sequence[Any]:
  branches = equation.params["branches"]
  if equation.params.get("branches_platforms") is not None:
    return _inner(branches[equation.params["branches_platforms"].index(None)])(*args)
  return lax.switch(index, [_inner(branch) for branch in branches], *args)


def _scan(equation: Any, *args: Any) -> Sequence[Any]:
  """Step after step, so that no loop is left: ONNX's own takes no result of two types, and int8 quantises no loop."""
  p = equation.params
  fixed, first = _parts_of_scan(equation)
  body, carry, ys = _inner(p["jaxpr"]), list(args[fixed:first]), []
  for step in range(p["length"]):
    at = p["length"] - 1 - step if p["reverse"] else step
    found = body(*args[:fixed], *carry, *(lax.index_in_dim(x, at, keepdims=False) for x in args[first:]))
    carry = found[: first - fixed]
    ys.append(found[first - fixed :])
  if p["reverse"]:
    ys.reverse()
  return [*carry, *(jnp.stack(parts) for parts in zip(*ys, strict=True))]


def _parts_of_scan(equation: Any) -> tuple[int, int]:
  """Numbers of its first carry and its first sequence: those have one axis more outside (JAX 0.12 names neither)."""
  body = getattr(equation.params["jaxpr"], "jaxpr", equation.params["jaxpr"])
  pairs = zip(equation.invars, body.invars, strict=True)
  first = sum(outer.aval.ndim == inner.aval.ndim for outer, inner in pairs)
  carries = sum(outer.aval.ndim == inner.aval.ndim for outer, inner in zip(equation.outvars, body.outvars, strict=True))
  return first - carries, first


def _while(equation: Any, *args: Any) -> Sequence[Any]:
  p = equation.params
  ahead, fixed = args[: p["cond_nconsts"]], args[p["cond_nconsts"] :][: p["body_nconsts"]]
  condition, body = _inner(p["cond_jaxpr"]), _inner(p["body_jaxpr"])
  start = tuple(args[len(ahead) + len(fixed) :])
  return lax.while_loop(lambda x: condition(*ahead, *x)[0], lambda x: tuple(body(*fixed, *x)), start)


def _convolution(equation: Any, x: Any, kernel: Any) -> Sequence[Any]:
  """Three spatial axes, which jax2onnx does not take: the sum of convolutions over the last two, one for each tap in
  time, in which time is a part of the batch."""
  p = equation.params
  if x.ndim != 5:
    return _bind(equation, x, kernel)
  layout = p["dimension_numbers"]
  x = lax.transpose(x, [layout.lhs_spec[i] for i in (0, 2, 3, 4, 1)])  # [B, T, H, W, C]
  kernel = lax.transpose(kernel, [layout.rhs_spec[i] for i in (2, 3, 4, 1, 0)])  # [t, h, w, C, D]
  if any(d != 1 for d in p["lhs_dilation"]) or p["batch_group_count"] != 1:
    raise NotImplementedError("a convolution over three axes of a map with gaps, or in groups of the batch")
  stride, apart, pads = p["window_strides"][0], p["rhs_dilation"][0], p["padding"]
  edges = [_filled(x, 1, size, 0) for size in pads[0]]
  x = lax.concatenate([edges[0], x, edges[1]], 1) if any(pads[0]) else x
  length = (x.shape[1] - (kernel.shape[0] - 1) * apart - 1) // stride + 1
  total: Any = None
  for tap in range(kernel.shape[0]):
    seen = lax.slice_in_dim(x, tap * apart, tap * apart + (length - 1) * stride + 1, stride, axis=1)
    y = lax.conv_general_dilated(
      lax.reshape(seen, (seen.shape[0] * length, *seen.shape[2:])),
      kernel[tap],
      p["window_strides"][1:],
      pads[1:],
      rhs_dilation=p["rhs_dilation"][1:],
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
      feature_group_count=p["feature_group_count"],
      precision=p["precision"],
    )
    total = y if total is None else total + y
  y = lax.reshape(total, (x.shape[0], length, *total.shape[1:]))
  return [lax.transpose(y, np.argsort([layout.out_spec[i] for i in (0, 2, 3, 4, 1)]))]


def _largest(equation: Any, x: Any) -> Sequence[Any]:
  """Pooling of two axes at most behind all others in one, the only one that ONNX Runtime takes of what jax2onnx writes;
  of further axes the largest of shifted slices."""
  p = equation.params
  if any(d != 1 for d in (*p["base_dilation"], *p["window_dilation"])):
    raise NotImplementedError("pooling with gaps")
  sizes, strides, pads = p["window_dimensions"], p["window_strides"], p["padding"]
  pooled = [axis for axis in range(x.ndim) if sizes[axis] > 1 or strides[axis] > 1 or any(pads[axis])]
  for axis in pooled[:-2]:
    edges = [_filled(x, axis, n, -np.inf) for n in pads[axis]]
    x = lax.concatenate([edges[0], x, edges[1]], axis) if any(pads[axis]) else x
    reach = (x.shape[axis] - sizes[axis]) // strides[axis] * strides[axis] + 1
    seen = [lax.slice_in_dim(x, i, i + reach, strides[axis], axis=axis) for i in range(sizes[axis])]
    x = functools.reduce(jnp.maximum, seen)
  pooled = pooled[-2:]
  others = [axis for axis in range(x.ndim) if axis not in pooled]
  x = lax.transpose(x, (*others, *pooled))
  shape = x.shape[: len(others)]
  x = lax.reshape(x, (math.prod(shape), *x.shape[len(others) :]))
  window, steps = ((1, *(values[axis] for axis in pooled)) for values in (sizes, strides))
  y = lax.reduce_window(x, -np.inf, lax.max, window, steps, ((0, 0), *(tuple(pads[axis]) for axis in pooled)))
  return [lax.transpose(lax.reshape(y, (*shape, *y.shape[1:])), np.argsort([*others, *pooled]))]


def _pad(equation: Any, x: Any, value: Any) -> Sequence[Any]:
  """Joined with what is added: jax2onnx pads no map of any number of clips, and puts nothing between values."""
  for axis, (low, high, between) in enumerate(equation.params["padding_config"]):
    size = x.shape[axis]
    if between and size > 1:
      gap = _filled(lax.expand_dims(x, [axis + 1]), axis + 1, between, value)
      x = lax.concatenate([lax.expand_dims(x, [axis + 1]), gap], axis + 1)
      x = lax.reshape(x, (*x.shape[:axis], size * (1 + between), *x.shape[axis + 2 :]))
      x = lax.slice_in_dim(x, 0, size + (size - 1) * between, axis=axis)
    before, after = ([_filled(x, axis, n, value)] if n > 0 else [] for n in (low, high))
    if low < 0 or high < 0:
      x = lax.slice_in_dim(x, max(-low, 0), x.shape[axis] + min(high, 0), axis=axis)
    x = lax.concatenate([*before, x, *after], axis) if before or after else x
  return [x]


def _select(equation: Any, which: Any, *cases: Any) -> Sequence[Any]:
  """ONNX Runtime chooses among truths and small whole numbers only as int32."""
  dtype = cases[0].dtype
  if dtype not in NARROW:
    return _bind(equation, which, *cases)
  chosen = lax.select_n(which, *(lax.convert_element_type(x, jnp.int32) for x in cases))
  return [lax.convert_element_type(chosen, dtype)]


def _filled(x: Any, axis: int, size: int, value: Any) -> Any:
  """A value in the shape of `x`, but of another size along an axis."""
  return lax.broadcast(jnp.asarray(value, x.dtype), (*x.shape[:axis], size, *x.shape[axis + 1 :]))


RULES: dict[str, Rule] = {
  **dict.fromkeys(("jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint"), _called),
  **dict.fromkeys(("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"), _called),
  "platform_index": lambda equation: [0],
  "cond": _cond,
  "scan": _scan,
  "while": _while,
  "conv_general_dilated": _convolution,
  "pad": _pad,
  "reduce_window_max": _largest,
  "select_n": _select,
  "optimization_barrier": lambda equation, *args: args,
  "stop_gradient": lambda equation, x: [x],
}
"""Name of a primitive -> (equation, *arguments) -> results."""
