"""One file for CPUs, GPUs and TPUs, which any program with JAX runs without vidjax: `jax.export`.

A deployment, not an archive: JAX reads it for six months at least, and older versions for three weeks. Keep the run's
folder, and safetensors, for what shall last.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.export

from vidjax.errors import InputError
from vidjax.export.network import Exported
from vidjax.files import whole
from vidjax.ops.lowering import portable
from vidjax.types import Array

PLATFORMS = ("cpu", "cuda", "tpu")


def lowered(call: Callable[..., Any], spec: jax.ShapeDtypeStruct) -> jax.export.Exported:
  """A function lowered for all platforms.

  Args:
    call: of clips.
    spec: of the clips.
  """
  with portable():
    return jax.export.export(jax.jit(lambda clips: call(clips)), platforms=PLATFORMS)(spec)


def write(part: Exported, path: str | os.PathLike) -> None:
  """Writes the file, whole or not at all.

  Args:
    part: the function.
    path: of the file.

  Raises:
    InputError: FlatBuffers is not installed.
  """
  try:
    blob = lowered(part.call, part.spec).serialize()
  except ImportError as error:
    raise InputError("writing stablehlo needs a package: pip install -e '.[export]'") from error
  with whole(path) as partial:
    partial.write_bytes(blob)


def load(path: str | os.PathLike) -> Callable[[Array], dict[str, jax.Array]]:
  """The function in a file: clips `[B, ...]` -> arrays by name.

  Args:
    path: of the file.

  Raises:
    InputError: it is no such file, or not for this platform.
  """
  try:
    blob = bytearray(pathlib.Path(path).read_bytes())
  except OSError as error:
    raise InputError(f"{path} cannot be read ({error.strerror}): name a file of --format=stablehlo") from error
  try:
    found = jax.export.deserialize(blob)
  except ImportError as error:
    raise InputError("reading stablehlo needs a package: pip install -e '.[export]'") from error
  except Exception as error:  # FlatBuffers and MLIR raise what they please
    raise InputError(f"{path} is damaged, or no file of --format=stablehlo: export the run again") from error
  here = {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())
  if here not in found.platforms:
    raise InputError(f"{path} is for {', '.join(found.platforms)}, not for {here}: export it again with this JAX")
  return jax.jit(found.call)
