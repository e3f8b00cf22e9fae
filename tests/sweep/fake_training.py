"""In place of `python -m vidjax.train`: validates a few times, ends as `--config.mode` says, and saves at SIGTERM."""

import json
import pathlib
import signal
import sys
import time

flags = dict(word.lstrip("-").partition("=")[::2] for word in sys.argv[1:])
folder, mode, rate = pathlib.Path(flags["workdir"]), flags.get("config.mode", "fine"), float(flags["config.rate"])
folder.mkdir(parents=True, exist_ok=True)
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
path = folder / "metrics.jsonl"
done = len(path.read_text().splitlines()) if path.exists() else 0
with (folder / "starts").open("a") as file:
  file.write("x")
starts = len((folder / "starts").read_text())
if mode == "bad":
  print("error: config.mode does not fit", file=sys.stderr)
  sys.exit(2)
for i in range(done, 4):
  time.sleep(0.02 if mode != "slow" else 0.4)
  if stopped:
    sys.exit(75)
  if mode == "nan" and i == 1:
    sys.exit(3)
  if mode == "killed" and i == 2 and starts == 1:
    signal.raise_signal(signal.SIGKILL)
  if mode == "dies":
    signal.raise_signal(signal.SIGKILL)
  value = rate + 0.01 * i
  with path.open("a") as file:
    file.write(json.dumps({"step": i, "validation/top1": value, "validation/loss/x": 1 - value}) + "\n")
