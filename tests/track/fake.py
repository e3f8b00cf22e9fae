"""A tracker that writes to the file FAKE_LOG, or does as FAKE_FAULT says: refuse, hang, raise, once."""

import json
import os
import time


class Writer:
  late = False

  def __init__(self):
    self.fault, self.failed = os.environ.get("FAKE_FAULT", ""), False

  def _add(self, *what):
    if self.fault == "raise" or (self.fault == "once" and not self.failed and what[0] == "numbers"):
      self.failed = True
      raise ConnectionError("the server is down")
    while self.fault == "hang":
      time.sleep(1)
    if self.fault == "die":
      os._exit(9)
    with open(os.environ["FAKE_LOG"], "a") as file:
      file.write(json.dumps(what) + "\n")

  def check(self):
    if self.fault == "refuse":
      raise ValueError("not logged in: run `fake login`")

  def begin(self, about, run):
    self._add("begin", run, dict(about.config), about.name, about.group)
    return run or "id1"

  def numbers(self, lines):
    for step, numbers in lines:
      self._add("numbers", step, numbers)

  def picture(self, step, name, path):
    self._add("picture", step, name, path.stat().st_size)

  def finish(self, end, final):
    self._add("finish", end, final)
