"""`python -m vidjax.demo` in a real browser, and what it says of wrong flags.

The browser's part takes Gradio, Selenium, Chromium and its driver, and is skipped without them:

    pip install -e '.[demo]' selenium && apt-get install chromium chromium-driver
    python -m pytest tests/demo/test_page.py
"""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from tests.demo.test_answers import MARKUP
from tests.tiny_run import make_run, write_data, write_video
from tests.xla import xla_flags
from vidjax.demo.__main__ import bound, check_subject
from vidjax.errors import InputError

MISSING = [name for name in ("gradio", "selenium") if importlib.util.find_spec(name) is None] + [
  name for name in ("chromium", "chromedriver") if shutil.which(name) is None
]
browser = pytest.mark.skipif(
  bool(MISSING), reason=f"the page in a browser takes {', '.join(MISSING)}: see the file's head"
)
QUIET = (
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
)


def command(*flags):
  return [sys.executable, "-m", "vidjax.demo", *flags]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A run whose folder and classes have markup in their names; no film is so dull that the marked one is not likely."""
  root = tmp_path_factory.mktemp("run")
  names = [f"{MARKUP} {k}" for k in range(6)]
  return make_run(root / "<i>run & co", write_data(root / "data"), class_names=names).workdir


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
  return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def server(run, temporary):
  """The address of a page with two pictures, the lines of its stderr, and the process."""
  flags = ("--port=0", "--max_mb=1", "--max_seconds=3", "--pictures=evidence,timeline")
  environment = {**os.environ, "TMPDIR": str(temporary), "XLA_FLAGS": xla_flags()}
  with subprocess.Popen(
    command(f"--workdir={run}", *flags), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  ) as process:
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stderr), daemon=True)
    reader.start()
    line = process.stdout.readline()
    assert line.startswith("the page is at http://127.0.0.1:"), said
    yield line.split()[4], said, process
    process.kill()
    reader.join()


@pytest.fixture
def chromium(server, tmp_path):
  from selenium import webdriver

  options = webdriver.ChromeOptions()
  options.binary_location = shutil.which("chromium")
  for argument in (*QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,900"):
    options.add_argument(argument)
  options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
  found = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
  found.get_log("performance")  # of its own first page
  found.get(server[0])
  yield found
  found.quit()


def send(chromium, path, shows):
  """Uploads a file and waits for what the page then shows; its text."""
  from selenium.webdriver.support.ui import WebDriverWait

  def found(selector):
    return WebDriverWait(chromium, 120).until(lambda one: one.find_elements("css selector", selector))[0]

  found("input[type=file]").send_keys(str(path))
  return found(shows)


def asked(chromium):
  """The addresses of all requests so far."""
  messages = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
  urls = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
  return [url for url in urls if not url.startswith(("data:", "blob:", "chrome:"))]


@browser
def test_a_film_in_its_classes_and_pictures_out(server, chromium, temporary, tmp_path):
  """Names with markup are shown as they are, nothing is asked of other machines, and no film stays."""
  from selenium.webdriver.support.ui import WebDriverWait

  film = write_video(tmp_path / "<b>film & co.mp4", 0, frames=20)
  picture = send(chromium, film, ".look img")
  assert picture.get_attribute("alt").startswith("Evidence of <b>film & co.mp4: Grad-CAM")
  WebDriverWait(chromium, 120).until(lambda one: "Done:" in one.find_element("css selector", "body").text)
  text = chromium.find_element("css selector", "body").text
  assert "What does <i>run & co see?" in text
  assert "<b>film & co.mp4" in text
  assert text.count(MARKUP) == 5
  assert len(chromium.find_elements("css selector", "ol.classes li")) == 5
  assert not chromium.find_elements("css selector", "main i, ol b, ol img")
  assert chromium.title == "vidjax: <i>run & co"
  assert chromium.execute_script("return arguments[0].naturalWidth", picture) > 300
  tabs = chromium.find_elements("css selector", "[role=tab]")
  next(tab for tab in tabs if tab.text == "Timeline").click()
  shown = [one for one in chromium.find_elements("css selector", ".look img") if one.is_displayed()]
  assert [one.get_attribute("alt").partition(" ")[0] for one in shown] == ["Timeline"]
  chromium.execute_cdp_cmd(
    "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
  )
  assert chromium.execute_script("return document.documentElement.scrollWidth") == 400
  urls = asked(chromium)
  assert len(urls) > 5
  assert [url for url in urls if not url.startswith(server[0])] == []
  assert list(temporary.rglob("*.mp4")) == []
  assert server[1] == []


@browser
@pytest.mark.parametrize(
  ("name", "content", "words"),
  [
    ("<b>no film.mp4", b"no film at all", "<b>no film.mp4 is not a video"),
    ("long.mp4", None, "long.mp4 is longer than 3 seconds, which this page takes: cut it"),
  ],
)
def test_what_cannot_be_answered_is_said_on_the_page(server, chromium, temporary, tmp_path, name, content, words):
  path = tmp_path / name
  if content is None:
    write_video(path, 0, frames=40)
  else:
    path.write_bytes(content)
  message = send(chromium, path, ".wrong")
  assert words in message.text
  assert message.get_attribute("role") == "alert"
  assert str(temporary) not in chromium.page_source
  assert list(temporary.rglob("*.mp4")) == []
  assert server[1] == []


@browser
def test_a_film_that_is_too_large_is_not_sent(chromium, tmp_path):
  """The message is Gradio's own, in the megabytes that the page states."""
  (tmp_path / "large.mp4").write_bytes(bytes(2**20 + 1))
  message = send(chromium, tmp_path / "large.mp4", ".toast-message-text")
  assert (
    message.get_attribute("textContent").strip() == 'File(s) exceed the maximum allowed size of 1.0 Mb: "large.mp4"'
  )
  assert "at most 1 MB" in chromium.find_element("css selector", "body").text


@browser
@pytest.mark.parametrize("path", ["/etc/hostname", "https://example.com/film.mp4"])
def test_a_request_for_another_file_is_refused(server, temporary, path):
  """As a program would send it: Gradio would copy the file, or fetch the address."""
  data = [{"path": path, "orig_name": "film.mp4", "meta": {"_type": "gradio.FileData"}}]
  body = json.dumps({"data": data, "fn_index": 0, "session_hash": "x"}).encode()
  for place in ("gradio_api/queue/join", "gradio_api/run/take", "gradio_api/call/take"):
    request = urllib.request.Request(f"{server[0]}/{place}", body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as caught:
      urllib.request.urlopen(request, timeout=60)
    with caught.value as error:
      assert error.code == 400
      assert b"names an upload" in error.read()
      assert "default-src 'self'" in error.headers["Content-Security-Policy"]
  assert [file for file in temporary.rglob("*") if file.name in ("hostname", "film.mp4")] == []


@browser
def test_the_end_leaves_nothing(server, temporary):
  """The last test of the server: SIGTERM ends it, and its folder is gone."""
  assert [path.name[:12] for path in temporary.iterdir()] == ["vidjax-demo-"]
  server[2].send_signal(signal.SIGTERM)
  assert server[2].wait(60) == 143
  assert list(temporary.iterdir()) == []


def test_a_cache_that_is_gone_is_not_told(tmp_path):
  """As at the end, while a picture is drawn."""
  code = (
    "import jax, pathlib\n"
    "from vidjax.demo.__main__ import keep_compiled\n"
    f"folder = pathlib.Path({str(tmp_path / 'compiled')!r})\n"
    "keep_compiled(str(folder))\n"
    "jax.jit(lambda x: x + 1)(1)\n"
    "assert list(folder.iterdir())\n"
    "folder.rename(f'{folder}-gone')\n"
    "folder.write_text('no folder')\n"
    "jax.jit(lambda x: x + 2)(1)\n"
  )
  environment = {**os.environ, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
  environment.pop("JAX_COMPILATION_CACHE_DIR", None)
  done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
  assert (done.returncode, done.stderr) == (0, "")


def test_a_port_in_use_is_named():
  with bound("127.0.0.1", 0) as place:
    port = place.getsockname()[1]
    with pytest.raises(InputError, match=f"^--port={port} is in use: choose another one, or --port=0 for a free one"):
      bound("127.0.0.1", port)
  with bound("127.0.0.1", port) as place:
    assert place.family == socket.AF_INET
  with pytest.raises(InputError, match=r"^--host=192\.0\.2\.1 is no address of this machine .*127\.0\.0\.1"):
    bound("192.0.2.1", 0)


@pytest.mark.parametrize(
  ("named", "words"),
  [
    ((None, None, None), "--workdir=DIR is missing, and so is --model=NAME: name either"),
    (("runs/a", "x3d_m", None), "both are given: name either"),
    (("runs/a", None, "x.pth"), "--weights=x.pth goes with --model"),
    ((None, "x3d", None), "no released model is called 'x3d'; the nearest is x3d_"),
    ((None, "clip_base_16", None), "--model=clip_base_16 has no classes"),
  ],
)
def test_a_run_or_a_model_with_classes_is_named(named, words):
  with pytest.raises(InputError, match=words):
    check_subject(*named)


def test_wrong_flags_are_one_line(run, tmp_path):
  """Gradio is not there, or the run is not finished: the remedy is named before anything is made."""
  unfinished = tmp_path / "unfinished"
  shutil.copytree(run, unfinished, ignore=shutil.ignore_patterns("checkpoints"))
  without = tmp_path / "without"
  without.mkdir()
  (without / "sitecustomize.py").write_text(
    "import importlib.util as u\nfound = u.find_spec\n"
    "u.find_spec = lambda name, package=None: None if name == 'gradio' else found(name, package)\n"
  )
  fake = tmp_path / "fake" / "gradio"
  fake.mkdir(parents=True)
  (fake / "__init__.py").write_text("")
  for path, flags, words in (
    (without, (f"--workdir={run}",), "not installed: pip install -e '.[demo]'"),
    (fake.parent, (f"--workdir={unfinished}", "--port=0"), f"{unfinished}"),
  ):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command(*flags), env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
