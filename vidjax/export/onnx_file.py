"""ONNX through jax2onnx, for runtimes without JAX; checked by ONNX Runtime."""

import contextlib
import importlib
import importlib.metadata
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from vidjax.errors import InputError
from vidjax.export.network import INPUT, Exported
from vidjax.export.plain import plain
from vidjax.files import whole
from vidjax.ops.lowering import portable

OPSET = 21
MISSING = "ONNX needs packages: pip install -e '.[onnx]'"


def converted(call: Callable[..., Any], spec: jax.ShapeDtypeStruct, names: tuple[str, ...]) -> Any:
  """The ONNX model (`onnx.ModelProto`) of a function from clips to arrays by name.

  Args:
    call: clips -> arrays by name.
    spec: of the clips.
    names: of the results, in the order of the model's.

  Raises:
    InputError: jax2onnx is not installed, or does not know an operation; the message says which, and where it stands.
  """
  try:
    jax2onnx: Any = importlib.import_module("jax2onnx")
  except ImportError as error:
    raise InputError(MISSING) from error

  def ordered(clips: Any) -> list[Any]:
    found = call(clips)
    return [found[name] for name in names]

  with portable():
    fn = plain(ordered, spec)
  try:
    with _quiet():
      model: Any = jax2onnx.to_onnx(
        fn, [spec], model_name="vidjax", opset=OPSET, input_names=[INPUT], output_names=list(names)
      )
  except Exception as error:  # of whatever kind: jax2onnx has none of its own
    reason, version = re.sub(r"\s+", " ", str(error))[:200], importlib.metadata.version("jax2onnx")
    raise InputError(f"jax2onnx {version} cannot write {_where(error)} ({reason}): take --format=stablehlo") from error
  del model.graph.value_info[:]  # a multiple of the batch, as in 2 batch, is noted as 0 or 1; runtimes infer it
  single = {x.name: x for x in model.graph.initializer if not x.dims}
  for node in model.graph.node:  # jax2onnx writes every product with a bias of one zero; the quantiser takes none such
    if node.op_type == "Gemm" and len(node.input) == 3 and node.input[2] in single:
      model.graph.initializer.remove(single[node.input[2]])
      del node.input[2]
  return model


def write(part: Exported, path: str | os.PathLike) -> None:
  """Writes the file, whole or not at all.

  Args:
    part: the function.
    path: of the file.
  """
  model = converted(part.call, part.spec, part.names)
  with whole(path) as partial:
    partial.write_bytes(model.SerializeToString())


def load(model: str | os.PathLike | bytes, threads: int = 0) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """The function in a file, run by ONNX Runtime on the CPU: clips `[B, ...]` -> arrays by name.

  Args:
    model: path of the file, or its bytes.
    threads: how many; 0 leaves it to ONNX Runtime.
  """
  try:
    onnxruntime: Any = importlib.import_module("onnxruntime")
  except ImportError as error:
    raise InputError(MISSING) from error
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads, options.log_severity_level = threads, 3
  try:
    source = model if isinstance(model, bytes) else os.fspath(model)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
  except Exception as error:
    reason = re.sub(r"\s+", " ", str(error))[:200]
    raise InputError(f"ONNX Runtime does not take the model ({reason}): take --format=stablehlo") from error
  names = [x.name for x in session.get_outputs()]

  def run(clips: np.ndarray) -> dict[str, np.ndarray]:
    try:
      return dict(zip(names, session.run(None, {INPUT: clips}), strict=True))
    except Exception as error:  # it derives its errors from Exception alone
      reason = re.sub(r"\s+", " ", str(error))[:200]
      raise InputError(f"ONNX Runtime cannot run the model ({reason}): take --format=stablehlo") from error

  return run


def _where(error: BaseException) -> str:
  """The operation at which jax2onnx failed, and the module it belongs to, from the frames of its traceback."""
  equation, trace = None, error.__traceback__
  while trace is not None:
    found = trace.tb_frame.f_locals.get("eqn")
    equation, trace = (equation if found is None else found), trace.tb_next
  if equation is None:
    return "this network"
  stack = str(getattr(getattr(equation, "source_info", None), "name_stack", ""))
  return f"{equation.primitive.name!r}" + (f" of {stack}" if stack else "")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Without the notes of jax2onnx and onnx_ir."""
  before = logging.root.manager.disable
  logging.disable(logging.WARNING)
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      yield
  finally:
    logging.disable(before)
