"""Files are written whole or not at all."""

import os
import signal
import subprocess
import sys
import time

import pytest
from matplotlib.figure import Figure

from tests.conftest import ROOT
from vidjax.analyse.pictures import save_figure
from vidjax.errors import InputError, Terminated
from vidjax.files import whole, write_text


@pytest.mark.parametrize("error", [Terminated, KeyboardInterrupt, OSError])
def test_what_is_stopped_leaves_the_old_file_and_nothing_else(tmp_path, error):
  path = tmp_path / "table.csv"
  write_text(path, "old")

  def stopped():
    with whole(path) as partial:
      partial.write_text("half")
      raise error

  with pytest.raises(error):
    stopped()
  assert path.read_text() == "old"
  assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_and_a_device_is_written_to(tmp_path):
  path, link = tmp_path / "table.csv", tmp_path / "link.csv"
  path.touch()
  link.symlink_to(path)
  write_text(link, "new")
  assert link.is_symlink()
  assert path.read_text() == "new"
  with whole(os.devnull) as partial:
    assert str(partial) == os.devnull


def test_errors_name_the_file(tmp_path):
  with pytest.raises(OSError) as raised:
    write_text(tmp_path / "missing" / "table.csv", "")
  assert raised.value.filename == str(tmp_path / "missing" / "table.csv")


def test_a_picture_is_whole_or_as_it_was(tmp_path, monkeypatch):
  path, figure = tmp_path / "table.png", Figure()
  save_figure(figure, path)
  old = path.read_bytes()

  def stop(self, file, **options):
    file.write_bytes(b"half")
    raise Terminated

  monkeypatch.setattr(Figure, "savefig", stop)
  with pytest.raises(Terminated):
    save_figure(figure, path)
  assert path.read_bytes() == old
  with pytest.raises(InputError, match="has no ending of a picture"):
    save_figure(figure, tmp_path / "table")


def test_a_kill_leaves_the_old_file(tmp_path):
  path = tmp_path / "results.csv"
  write_text(path, "old")
  code = (
    "import sys, time\n"
    "from vidjax.files import whole\n"
    "with whole(sys.argv[1]) as partial, partial.open('w') as file:\n"
    "  file.write('half'); file.flush(); time.sleep(60)\n"
  )
  with subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT) as process:
    end = time.monotonic() + 30
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < end:
      time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
  assert process.returncode == -signal.SIGTERM
  assert path.read_text() == "old"
  assert list(tmp_path.glob("*.csv")) == [path]  # who reads all of a folder takes no half one


def test_all_pictures_are_saved_so():
  sources = [path for folder in ("vidjax", "experiments") for path in (ROOT / folder).rglob("*.py")]
  assert [path.name for path in sources if ".savefig(" in path.read_text()] == ["pictures.py"]
