"""PyTorch's files, of zip format and of the legacy one (before 1.6), read without PyTorch and without trusting pickles.

A pickle is a program that calls what it names and may write to it. Here it may name the few things in `_ALLOWED` alone,
none of which does more than hold its arguments, and gets a copy of those that can be written to; anything else is
refused by its name.
"""

import collections
import functools
import math
import os
import pathlib
import pickle
import struct
import types
import zipfile
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

import ml_dtypes
import numpy as np

from vidjax.errors import InputError

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
DTYPES: dict[str, Any] = {
  "torch.BoolStorage": np.bool_,
  "torch.ByteStorage": np.uint8,
  "torch.CharStorage": np.int8,
  "torch.ShortStorage": np.int16,
  "torch.IntStorage": np.int32,
  "torch.LongStorage": np.int64,
  "torch.HalfStorage": np.float16,
  "torch.BFloat16Storage": ml_dtypes.bfloat16,
  "torch.FloatStorage": np.float32,
  "torch.DoubleStorage": np.float64,
}


class _Storage(NamedTuple):
  dtype: np.dtype
  key: str
  size: int
  """In elements, as the next one."""
  start: int = 0


class TorchTensor(NamedTuple):
  """A tensor as a pickle describes it: nothing is read, and nothing checked, before `array`.

  Attributes:
    storage: its numbers on disk, with type, key and size.
    offset: of the first number, in numbers from the storage's start, as the strides.
    shape: of the tensor.
    strides: from one number to the next along each axis.
  """

  storage: _Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]

  def array(self, name: str, read: Callable[[str, int], memoryview]) -> np.ndarray:
    """The values, a view of the storage's, so that tensors that share one cost it once. Raises InputError.

    Args:
      name: of the tensor, for the error.
      read: (key, stop) -> the bytes of a storage, at least up to `stop`.
    """
    dtype, key, size, start = self.storage
    stop = self.offset + 1 + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
    inside = all(isinstance(n, int) and n >= 0 for n in (start, self.offset, *self.shape, *self.strides))
    if inside and stop <= size < math.prod(self.shape):
      raise InputError(f"tensor {name!r} of shape {self.shape} repeats {size} numbers: save its .clone() instead")
    if not inside or (stop > size and 0 not in self.shape):
      raise InputError(f"tensor {name!r} of shape {self.shape} lies outside its storage of {size} numbers")
    if 0 in self.shape:
      return np.zeros(self.shape, dtype.newbyteorder("="))
    held = read(key, (start + stop) * dtype.itemsize)
    data = np.frombuffer(held[(start + self.offset) * dtype.itemsize : (start + stop) * dtype.itemsize], dtype)
    strides = [n * dtype.itemsize for n in self.strides]
    view = np.lib.stride_tricks.as_strided(data, self.shape, strides, writeable=False)
    return view.astype(dtype.newbyteorder("="), copy=False)


class _Unread:
  """Stands for what lies beside the tensors and is harmless, such as a NumPy scalar; nobody needs its value."""

  def __init__(self, *_: Any): ...
  def __setstate__(self, _: Any) -> None: ...


def _tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> TorchTensor:
  return TorchTensor(_Storage(*storage), offset, tuple(shape), tuple(strides))


_ALLOWED: dict[str, Any] = {
  "collections.OrderedDict": collections.OrderedDict,
  "torch.Size": tuple,
  "torch._utils._rebuild_tensor": _tensor,
  "torch._utils._rebuild_tensor_v2": _tensor,
  "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
  **{name: name for name in DTYPES},  # a dtype itself could be written to
  **dict.fromkeys(("numpy.dtype", "numpy.ndarray", "_codecs.encode", "torch.device", "argparse.Namespace"), _Unread),
  **{"collections.Counter": dict, "builtins.set": set, "__builtin__.set": set},
  **dict.fromkeys((f"torch.{name}" for name in ("float16", "bfloat16", "float32", "float64", "int64")), _Unread),
  **{f"numpy.{core}.multiarray.{name}": _Unread for core in ("core", "_core") for name in ("scalar", "_reconstruct")},
}


class _Unpickler(pickle.Unpickler):
  def __init__(self, file: IO[bytes]):
    super().__init__(file)
    self.storages: dict[str, np.dtype] = {}

  def find_class(self, module: str, name: str) -> Any:
    found = _ALLOWED.get(f"{module}.{name}")
    if found is None:
      raise InputError(
        f"its pickle asks for {module}.{name}, which is no part of a checkpoint and may run code: "
        "save the state_dict alone, in PyTorch, if you trust the file"
      )
    if found is _Unread:
      return type("_Unread", (_Unread,), {})
    return functools.partial(found) if isinstance(found, types.FunctionType) else found

  def persistent_load(self, pid: Any) -> _Storage:
    kind, dtype, key, _, size, *view = pid
    if kind != "storage" or dtype not in DTYPES:
      raise InputError(f"its pickle refers to {kind!r}, which is no storage of numbers")
    self.storages[key] = dtype = np.dtype(DTYPES[dtype])
    if view and view[0] is not None:  # legacy only: a storage that is a part of another one
      _, start, size = view[0]
      return _Storage(dtype, key, size, start)
    return _Storage(dtype, key, size)


def read_torch(path: pathlib.Path, choose: Callable[[Any], Mapping[str, Any]]) -> dict[str, np.ndarray]:
  """Reads the tensors of a file that `torch.save` wrote.

  Args:
    path: the file.
    choose: takes what was saved, with a TorchTensor for each tensor, and returns those to read, by name.

  Raises:
    InputError: cut short, not PyTorch's, or asking for more than tensors; without the path, which the caller adds.
  """
  with path.open("rb") as file:
    zipped = file.peek(2)[:2] == b"PK"
    try:
      return _read_zip(file, choose) if zipped else _read_legacy(file, choose)
    except InputError:
      raise
    except Exception as error:  # a pickle can be damaged in as many ways as it has bytes
      raise InputError(f"damaged or cut short ({type(error).__name__}: {error}): fetch or save it again") from error


def _read_zip(file: IO[bytes], choose: Callable[[Any], Mapping[str, Any]]) -> dict[str, np.ndarray]:
  with zipfile.ZipFile(file) as archive:
    sizes = {info.filename: info.file_size for info in archive.infolist() if info.compress_type == zipfile.ZIP_STORED}
    pickles = [name for name in sizes if name.endswith("/data.pkl")]
    if len(pickles) != 1:
      raise InputError("a zip archive without PyTorch's data.pkl")
    folder = pickles[0].removesuffix("/data.pkl")
    big = f"{folder}/byteorder" in sizes and archive.read(f"{folder}/byteorder") == b"big"
    with archive.open(pickles[0]) as part:
      saved = _Unpickler(part).load()

    storages: dict[str, memoryview] = {}

    def read(key: str, stop: int) -> memoryview:
      name = f"{folder}/data/{key}"
      if sizes.get(name, 0) < stop:
        raise InputError(f"{name} holds {sizes.get(name, 0)} bytes where {stop} are wanted: fetch or save it again")
      if key not in storages:
        storages[key] = memoryview(archive.read(name))
      return storages[key]

    return _arrays(choose(saved), read, big)


def _read_legacy(file: IO[bytes], choose: Callable[[Any], Mapping[str, Any]]) -> dict[str, np.ndarray]:
  """Four pickles (magic number, version, system, what was saved), a list of keys, and the storages in that order."""
  if _Unpickler(file).load() != LEGACY_MAGIC:
    raise InputError("a pickle that torch.save did not write")
  _Unpickler(file).load()
  system = _Unpickler(file).load()
  unpickler = _Unpickler(file)
  saved = unpickler.load()
  places: dict[str, tuple[int, int]] = {}
  end = os.fstat(file.fileno()).st_size
  for key in _Unpickler(file).load():
    (count,) = struct.unpack("<q", file.read(8))
    size = count * unpickler.storages[key].itemsize
    places[key] = (file.tell(), size)
    if size < 0 or file.tell() + size > end:
      raise InputError(f"cut short in storage {key}: {size} bytes required, {end - file.tell()} left: fetch it again")
    file.seek(size, os.SEEK_CUR)

  storages: dict[str, memoryview] = {}

  def read(key: str, stop: int) -> memoryview:
    place, size = places[key]
    if size < stop:
      raise InputError(f"storage {key} holds {size} bytes where {stop} are wanted: fetch or save it again")
    if key not in storages:
      file.seek(place)
      storages[key] = memoryview(file.read(size))
    return storages[key]

  return _arrays(choose(saved), read, not system["little_endian"])


def _arrays(tensors: Mapping[str, Any], read: Callable[[str, int], memoryview], big: bool) -> dict[str, np.ndarray]:
  found = {}
  for name, tensor in tensors.items():
    if not isinstance(name, str):
      raise InputError(f"holds a {type(tensor).__name__} under {name!r}, which is no name: save the model's state_dict")
    if not isinstance(tensor, TorchTensor):
      raise InputError(f"{name!r} holds a {type(tensor).__name__}, not a tensor: save the state_dict alone")
    if big:
      storage = tensor.storage._replace(dtype=tensor.storage.dtype.newbyteorder(">"))
      tensor = tensor._replace(storage=storage)
    found[name] = tensor.array(name, read)
  return found
