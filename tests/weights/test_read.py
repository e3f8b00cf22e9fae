"""files/zip.pth and files/legacy.pth.tar were written by PyTorch 2.13 from the same object, in its two formats:

torch.save({"epoch": 3, "arch": "tiny", "state_dict": OrderedDict(...), "best_prec1": np.float64(61.5), "best_tensor":
torch.tensor(61.5), "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [...]}}, path,
_use_new_zipfile_serialization=True or False), where the tensors are those of TENSORS: a permuted, a sliced and two
overlapping views, a Parameter, and one of each type, all under "module.".
"""

import collections
import contextlib
import io
import json
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from vidjax.errors import InputError
from vidjax.weights import torch_file
from vidjax.weights.read import read_tensors
from vidjax.weights.torch_file import LEGACY_MAGIC

FILES = pathlib.Path(__file__).parent / "files"
BASE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
TENSORS = {
  "plain": BASE,
  "transposed": BASE.transpose(2, 0, 1),
  "slice": BASE[:, 1:, ::2],
  "tied_a": np.arange(6, dtype=np.float32),
  "tied_b": np.arange(4, 10, dtype=np.float32),
  "parameter": np.array([1.5, -2], np.float32),
  "half": np.array([0.5, 3], np.float16),
  "bfloat16": np.array([1, -0.15625], ml_dtypes.bfloat16),
  "double": np.array([0.1]),
  "bool": np.array([True, False]),
  "bn.num_batches_tracked": np.array(7),
  "empty": np.zeros((0, 3), np.float32),
}


def assert_same(tensors, expected):
  assert set(tensors) == set(expected)
  for name, x in expected.items():
    assert tensors[name].dtype == x.dtype, name
    np.testing.assert_array_equal(tensors[name], x, err_msg=name)


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth.tar"])
def test_files_of_pytorch(name):
  assert_same(read_tensors(FILES / name), TENSORS)


def test_safetensors_and_npz(tmp_path):
  tensors = {name: np.ascontiguousarray(x) for name, x in TENSORS.items()}
  save_file(tensors, tmp_path / "a.safetensors")
  assert_same(read_tensors(tmp_path / "a.safetensors"), tensors)
  del tensors["bfloat16"]  # npz keeps no names of foreign types
  np.savez(tmp_path / "a.npz", **tensors)
  assert_same(read_tensors(str(tmp_path / "a.npz")), tensors)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_a_wrapper_s_prefix_goes_where_all_have_it(prefix, tmp_path):
  np.savez(tmp_path / "all.npz", **{f"{prefix}a": np.ones(1), f"{prefix}b": np.ones(1)})
  np.savez(tmp_path / "one.npz", **{f"{prefix}a": np.ones(1), "b": np.ones(1)})
  assert set(read_tensors(tmp_path / "all.npz")) == {"a", "b"}
  assert set(read_tensors(tmp_path / "one.npz")) == {f"{prefix}a", "b"}


@pytest.fixture
def sharded(tmp_path):
  """A model in two files and what says which holds what, as Hugging Face's libraries save it."""
  save_file({"a": np.ones(2), "b": np.zeros(1)}, tmp_path / "model-00001-of-00002.safetensors")
  save_file({"c": np.full(1, 3.0)}, tmp_path / "model-00002-of-00002.safetensors")
  places = {"a": 1, "b": 1, "c": 2}
  index = {"metadata": {}, "weight_map": {name: f"model-0000{i}-of-00002.safetensors" for name, i in places.items()}}
  (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
  (tmp_path / "config.json").write_text('{"architecture": "resnet50"}')
  return tmp_path


def test_a_model_in_several_files(sharded):
  for source in (sharded, sharded / "model.safetensors.index.json"):
    tensors = read_tensors(source)
    assert_same(tensors, {"a": np.ones(2), "b": np.zeros(1), "c": np.full(1, 3.0)})
    assert tensors.architecture == "resnet50"


def test_a_model_in_several_files_on_the_hub(sharded, monkeypatch):
  hub = pytest.importorskip("huggingface_hub", reason="needs pip install -e '.[weights]'")

  def download(repository: str, name: str) -> str:
    if not (path := sharded / name.removeprefix("folder/")).is_file():
      response = types.SimpleNamespace(headers={}, request=None)
      raise hub.errors.RemoteEntryNotFoundError("404", response=response)
    return str(path)

  monkeypatch.setattr(hub, "hf_hub_download", download)
  (sharded / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
  for source in ("who/model", "who/model:folder/model.safetensors.index.json"):
    assert set(found := read_tensors(source)) == {"a", "b", "c"}
    assert found.licence == "apache-2.0"


def test_a_damaged_index_is_refused(sharded):
  index = sharded / "model.safetensors.index.json"
  good = index.read_text()
  for text, message in (
    ("{}", "is no index of files"),
    ("[1]", "is no index of files"),
    (good.replace("model-00002", "../model-00002"), "is no index of files"),
    (good.replace("model-00002", "lost"), r"names lost-of-00002.safetensors, which is not beside it: fetch all 2"),
    (good.replace('"c"', '"d"'), "says that model-00002-of-00002.safetensors holds 'd', and it does not"),
  ):
    index.write_text(text)
    with pytest.raises(InputError, match=message):
      read_tensors(index)


def test_the_architecture_a_file_tells(tmp_path):
  assert read_tensors(FILES / "zip.pth").architecture == "tiny"
  save_file({"a": np.ones(1)}, tmp_path / "a.safetensors", metadata={"architecture": "resnet50"})
  assert read_tensors(tmp_path / "a.safetensors").architecture == "resnet50"
  (tmp_path / "config.json").write_text("not JSON")
  assert read_tensors(tmp_path / "a.safetensors").architecture == "resnet50"


class Named:
  """Pickles as a call of whatever lies at a dotted path, which need not exist."""

  def __init__(self, path: str, *arguments):
    self.module, _, self.name = path.rpartition(".")
    self.arguments = arguments

  def __reduce__(self):
    module = sys.modules.setdefault(self.module, types.ModuleType(self.module))
    if not hasattr(module, self.name):
      function = type(self.name, (), {"__module__": self.module})
      setattr(module, self.name, function)
    return getattr(module, self.name), self.arguments


class Storage:
  def __init__(self, size: int, key: str = "0", dtype: str = "FloatStorage", kind: str = "storage"):
    self.size, self.key, self.dtype, self.kind = size, key, dtype, kind


@pytest.fixture
def dumps(monkeypatch):
  """Pickles with storages as persistent ids, as torch.save does."""
  for name in ("torch", "torch._utils", "torch.nn", "evil"):
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))

  class Pickler(pickle.Pickler):
    def persistent_id(self, value):
      if isinstance(value, Storage):
        dtype = Named(f"torch.{value.dtype}").__reduce__()[0]
        return value.kind, dtype, value.key, "cpu", value.size
      return None

  def dump(value) -> bytes:
    file = io.BytesIO()
    Pickler(file, protocol=2).dump(value)
    return file.getvalue()

  return dump


def write_zip(path, pickled: bytes, data: bytes = b"", **more: bytes):
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("archive/data.pkl", pickled)
    archive.writestr("archive/data/0", data)
    for name, content in more.items():
      archive.writestr(f"archive/{name}", content)
  return path


def tensor(storage, offset=0, shape=(2, 3), strides=(3, 1)):
  return Named("torch._utils._rebuild_tensor_v2", storage, offset, shape, strides, False, collections.OrderedDict())


def write_legacy(path, dumps, value, keys=("0",), storages=((6, bytes(24)),), little=True):
  parts = [LEGACY_MAGIC, 1001, {"little_endian": little}]
  content = b"".join(dumps(part) for part in (*parts, value, list(keys)))
  path.write_bytes(content + b"".join(struct.pack("<q", count) + data for count, data in storages))
  return path


def test_byte_orders(dumps, tmp_path):
  numbers = np.arange(6).reshape(2, 3)
  for order, little in (("<", True), (">", False)):
    data = numbers.astype(f"{order}f4").tobytes()
    zipped = write_zip(
      tmp_path / "a", dumps({"a": tensor(Storage(6))}), data, byteorder=b"little" if little else b"big"
    )
    old = write_legacy(tmp_path / "b", dumps, {"a": tensor(Storage(6))}, storages=[(6, data)], little=little)
    for path in (zipped, old):
      np.testing.assert_array_equal(read_tensors(path)["a"], numbers)


@pytest.mark.parametrize("container", ["state_dict", "model_state", "model_state_dict", "model"])
def test_containers(container, dumps, tmp_path):
  saved = {"epoch": 1, container: {"a": tensor(Storage(6))}, "cfg": "text"}
  assert set(read_tensors(write_zip(tmp_path / "a.pyth", dumps(saved), bytes(24)))) == {"a"}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("path", ["posix.system", "builtins.eval", "builtins.getattr", "evil.Network", "torch.load"])
def test_pickles_that_ask_for_more_are_refused_by_name(path, legacy, dumps, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  value = {"state_dict": {"a": tensor(Storage(6))}, "more": Named(path, "touch harmed")}
  file = tmp_path / "a.pth"
  if legacy:
    write_legacy(file, dumps, value)
  else:
    write_zip(file, dumps(value), bytes(24))
  path = path.replace("builtins", "__builtin__")
  with pytest.raises(InputError, match=f"a.pth: its pickle asks for {path}, which is no part of a checkpoint"):
    read_tensors(file)
  assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("state", ["attributes", "dtype"])
@pytest.mark.parametrize("name", sorted(torch_file._ALLOWED))
def test_pickles_write_to_copies(name, state):
  """A pickle's BUILD sets what it likes on whatever it named, also on a class or a function."""
  states = {
    "attributes": (None, {"__defaults__": (1, 2), "written": 1}),
    "dtype": (3, ">", None, None, None, -1, -1, 0),
  }
  module, _, attribute = name.rpartition(".")
  pickled = f"c{module}\n{attribute}\n".encode() + pickle.dumps(states[state], protocol=2)[2:-1] + b"b."
  before = {key: (repr(value), getattr(value, "__defaults__", None)) for key, value in torch_file._ALLOWED.items()}
  with contextlib.suppress(Exception):
    torch_file._Unpickler(io.BytesIO(pickled)).load()
  after = {key: (repr(value), getattr(value, "__defaults__", None)) for key, value in torch_file._ALLOWED.items()}
  assert after == before
  assert not any(hasattr(value, "written") for value in torch_file._ALLOWED.values())
  assert np.dtype(ml_dtypes.bfloat16).itemsize == 2


@pytest.mark.parametrize(
  ("value", "message"),
  [
    ({"a": tensor(Storage(6), shape=(3, 3))}, r"tensor 'a' of shape \(3, 3\) lies outside its storage of 6"),
    ({"a": tensor(Storage(6), offset=1)}, "outside its storage"),
    ({"a": tensor(Storage(6), offset=-1)}, "outside its storage"),
    ({"a": tensor(Storage(6), strides=(-1, 1))}, "outside its storage"),
    (
      {"a": tensor(Storage(6), shape=(10**9,), strides=(0,))},
      r"'a' of shape \(1000000000,\) repeats 6 numbers: save its .clone",
    ),
    ({1: tensor(Storage(6))}, "holds a TorchTensor under 1, which is no name"),
    ({"a": tensor(Storage(6), shape=(2,), strides=(1, 1))}, "damaged"),
    ({"a": tensor(Storage(9), shape=(9,), strides=(1,))}, "archive/data/0 holds 24 bytes where 36 are wanted"),
    ({"a": tensor(Storage(6, key="7"))}, "archive/data/7 holds 0 bytes where 24 are wanted"),
    ({"a": tensor(Storage(6, dtype="QInt8Storage"))}, "asks for torch.QInt8Storage"),
    ({"a": tensor(Storage(6, kind="module"))}, "refers to 'module', which is no storage"),
    ({"a": tensor("some text")}, "damaged"),
    ({"state_dict": {"a": "text"}}, "'a' holds a str, not a tensor"),
    ({"epoch": 3}, "'epoch' holds a int, not a tensor"),
    ({}, "no tensor in it"),
    ([1, 2], "holds a list, not tensors by name"),
    (tensor(Storage(6)), "a single tensor"),
    (Named("torch.nn.Linear"), r"asks for torch.nn.Linear"),
  ],
)
def test_what_is_no_checkpoint_is_named(value, message, dumps, tmp_path):
  with pytest.raises(InputError, match=message):
    read_tensors(write_zip(tmp_path / "a.pth", dumps(value), bytes(24)))


def test_tensors_that_share_a_storage_cost_it_once(dumps, tmp_path):
  shared = {f"t{i}": tensor(Storage(6)) for i in range(300)}
  tensors = list(read_tensors(write_zip(tmp_path / "a.pth", dumps(shared), bytes(24))).values())
  assert len({x.__array_interface__["data"][0] for x in tensors}) == 1
  assert not tensors[0].flags.writeable


def test_a_file_that_unfolds_to_far_more_than_the_network_needs_is_refused(tmp_path):
  np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(30_000_000, np.uint8))
  with pytest.raises(InputError, match=r"bomb.npz: unfolds to 30 MB of numbers, and at most 10 MB are read"):
    read_tensors(tmp_path / "bomb.npz", 10_000_000)
  assert read_tensors(tmp_path / "bomb.npz")["a"].size == 30_000_000


def test_other_files_are_refused(dumps, tmp_path):
  def refuse(content: bytes, message: str, name: str = "a.pth"):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
      read_tensors(tmp_path / name)

  for content in (b"", b"<html>", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(1000)):
    refuse(content, "a.pth: is neither safetensors nor npz nor PyTorch's")
  refuse(pickle.dumps({"a": 1}, protocol=2), "a pickle that torch.save did not write")
  header = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
  refuse(struct.pack("<Q", len(header)) + header + bytes(4), "damaged safetensors file", "a.safetensors")
  for kind in (b"F8_E8M0", b"F8_E4M3"):
    eights = header.replace(b"F32", kind).replace(b"[0,8]", b"[0,2]")
    refuse(struct.pack("<Q", len(eights)) + eights + bytes(2), "a.safetensors", "a.safetensors")
  np.savez(tmp_path / "whole.npz", a=np.ones(100))
  refuse((tmp_path / "whole.npz").read_bytes()[:-50], "damaged npz", "a.npz")
  np.savez(tmp_path / "text.npz", a=np.array(["text"]))
  with pytest.raises(InputError, match=r"'a' holds <U4, not numbers"):
    read_tensors(tmp_path / "text.npz")
  np.savez(tmp_path / "objects.npz", a=np.array([{}]))
  with pytest.raises(InputError, match=r"objects.npz: holds Python objects, not numbers"):
    read_tensors(tmp_path / "objects.npz")
  with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
    archive.writestr("readme.txt", "text")
  with pytest.raises(InputError, match=r"without PyTorch's data.pkl"):
    read_tensors(tmp_path / "a.zip")
  with pytest.raises(InputError, match="is a folder"):
    read_tensors(tmp_path)
  with pytest.raises(InputError, match="name is empty"):
    read_tensors("")


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth.tar"])
def test_a_file_cut_short_is_refused(name, tmp_path):
  content, path = (FILES / name).read_bytes(), tmp_path / name
  for length in range(3, len(content) - 1, 37):
    path.write_bytes(content[:length])
    with pytest.raises(InputError, match=rf"{name}: .*(damaged|cut short|neither|not write)"):
      read_tensors(path)


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth.tar"])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
@example(changes=[(0.990234375, 1)])  # the zip archive's directory lies before the file
def test_a_damaged_file_is_refused_or_read(name, changes, tmp_path):
  """Whatever the damage, nothing but an InputError comes out."""
  content = bytearray((FILES / name).read_bytes())
  for place, value in changes:
    content[int(place * len(content))] = value
  path = tmp_path / "damaged.pth"
  path.write_bytes(content)
  try:
    tensors = read_tensors(path)
  except InputError:
    return
  assert all(isinstance(x, np.ndarray) for x in tensors.values())


def test_models_on_the_hub(tmp_path, monkeypatch):
  hub = pytest.importorskip("huggingface_hub", reason="needs pip install -e '.[weights]'")
  np.savez(tmp_path / "file.npz", a=np.ones(1))
  asked = []

  def download(repository: str, name: str) -> str:
    asked.append((repository, name))
    if name == "model.safetensors":
      response = types.SimpleNamespace(headers={}, request=None)
      raise hub.errors.RemoteEntryNotFoundError("404", response=response)
    if repository == "who/gated":
      raise PermissionError("access is restricted\nand more")
    if repository == "who/offline":
      raise hub.errors.LocalEntryNotFoundError("no connection")
    return str(tmp_path / "file.npz")

  monkeypatch.setattr(hub, "hf_hub_download", download)
  assert set(read_tensors("who/model")) == {"a"}
  assert set(read_tensors("who/model.v1:folder/x.bin")) == {"a"}
  assert asked == [
    ("who/model", "model.safetensors"),
    ("who/model", "pytorch_model.bin"),
    ("who/model", "config.json"),
    ("who/model", "README.md"),
    ("who/model.v1", "folder/x.bin"),
    ("who/model.v1", "folder/config.json"),
    ("who/model.v1", "README.md"),
  ]
  with pytest.raises(InputError, match=r"the hub answers: access is restricted$"):
    read_tensors("who/gated:x.bin")
  with pytest.raises(InputError, match="cannot be reached"):
    read_tensors("who/offline:x.bin")
  with pytest.raises(InputError, match=r"who/model has no model.safetensors: name one"):
    read_tensors("who/model:model.safetensors")
  for path in ("runs/x.pth", "/no/such/file.npz", "resnet50"):
    with pytest.raises(InputError, match=f"{path}: no such file"):
      read_tensors(path)


def test_without_the_extra_packages_the_error_says_what_to_install(tmp_path, monkeypatch):
  save_file({"a": np.ones(1)}, tmp_path / "a.safetensors")
  monkeypatch.setitem(sys.modules, "safetensors", None)
  monkeypatch.setitem(sys.modules, "huggingface_hub", None)
  for source in (tmp_path / "a.safetensors", "who/model"):
    with pytest.raises(InputError, match=r"pip install -e '\.\[weights\]'"):
      read_tensors(source)
