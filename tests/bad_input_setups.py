"""What `bad_input_cases.py` sets up: each function here writes into, or breaks, the folder it is given."""

import os
import pathlib
import shutil
import wave
import zlib
from collections.abc import Callable

import av
import numpy as np

from tests.data import official_files


def config(*lines: str) -> Callable[[pathlib.Path], object]:
  """A config file: the quickstart with these lines, such as "c.seed = 1"."""
  text = "\n  ".join(("from configs import quickstart\ndef get_config():", "c = quickstart.get_config()", *lines))
  return file("config.py", text + "\n  return c\n")


def file(name: str, content: str | bytes = "") -> Callable[[pathlib.Path], object]:
  def setup(tmp: pathlib.Path) -> None:
    (tmp / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp / name).write_bytes(content.encode() if isinstance(content, str) else content)

  return setup


def files(*names: str) -> Callable[[pathlib.Path], object]:
  """Small good films."""
  return lambda tmp: [write_film(tmp / name) for name in names]


def official(name: str) -> Callable[[pathlib.Path], object]:
  """The official files of a published data set, of a few small films."""
  return official_files.MAKERS[name]


def remove(pattern: str) -> Callable[[pathlib.Path], object]:
  return lambda tmp: [shutil.rmtree(path) if path.is_dir() else path.unlink() for path in tmp.glob(pattern)]


def halve(pattern: str) -> Callable[[pathlib.Path], object]:
  """Cuts the files in half."""

  def setup(tmp: pathlib.Path) -> None:
    found = [path for path in tmp.glob(pattern) if path.is_file()]
    assert found
    for path in found:
      os.truncate(path, path.stat().st_size // 2)

  return setup


def both(*setups: Callable[[pathlib.Path], object]) -> Callable[[pathlib.Path], object]:
  return lambda tmp: [setup(tmp) for setup in setups]


def sound(tmp: pathlib.Path) -> None:
  with wave.open(str(tmp / "sound.wav"), "wb") as out:
    out.setparams((1, 2, 8000, 0, "NONE", ""))
    out.writeframes(bytes(16000))


def no_frame(tmp: pathlib.Path) -> None:
  with av.open(str(tmp / "none.avi"), "w") as container:
    stream = container.add_stream("mpeg4", rate=8)
    stream.width, stream.height = 32, 32
    container.start_encoding()


def other_classes(tmp: pathlib.Path) -> None:
  """As in a run of an older version, whose files have no digests."""
  (tmp / "run" / "digests.json").unlink()
  path = tmp / "run" / "class_names.txt"
  path.write_text(path.read_text().replace("walk", "stand"))


def prepared_again(tmp: pathlib.Path) -> None:
  """Leaves the copied run at a data set that holds something else now."""
  path = tmp / "run" / "data.json"
  path.write_text(path.read_text().replace('"sha256": "', '"sha256": "0'))
  (tmp / "run" / "digests.json").unlink()


def on_data(name: str) -> Callable[[pathlib.Path], object]:
  """Makes the copied run one on another data set."""

  def setup(tmp: pathlib.Path) -> None:
    path = tmp / "run" / "config.json"
    path.write_text(path.read_text().replace("folder/tiny", name))
    (tmp / "run" / "digests.json").unlink()

  return setup


def data_copy(tmp: pathlib.Path) -> None:
  shutil.copytree(next(tmp.parent.glob("*/world")) / "data", tmp / "data")


def write_film(path: pathlib.Path, frames: int = 8, size: tuple[int, int] = (32, 24)) -> None:
  """A film of moving noise of its own, of any size (MPEG-4 takes odd ones)."""
  path.parent.mkdir(parents=True, exist_ok=True)
  seed = zlib.crc32(os.fsencode(pathlib.Path(*path.parts[-2:])))
  image = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
  with av.open(str(path), "w") as container:
    stream = container.add_stream("mpeg4", rate=8)
    stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
    for shift in range(frames):
      container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(image, shift, 1), format="rgb24")))
    container.mux(stream.encode(None))
