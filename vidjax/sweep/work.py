"""The trials of a sweep one after the other, and several at once."""

import concurrent.futures
from collections.abc import Sequence

from vidjax.console import say
from vidjax.run.children import Stop
from vidjax.run.slots import Slots, make_slots
from vidjax.sweep.report import WORDS
from vidjax.sweep.study import Study
from vidjax.sweep.trial import run_trial, training


def run_all(study: Study, total: int, processes: int, config: str, given: Sequence[str], stop: Stop) -> None:
  """Runs trials until there are enough, several at once.

  Args:
    study: of the sweep.
    total: trials in all.
    processes: at once.
    config: "FILE.py[:argument]".
    given: flags of every training.
    stop: ends it early.

  Raises:
    InputError: a training does not report the metric; all others are stopped.
  """
  slots = make_slots(processes, study.out / ".compiled")
  with concurrent.futures.ThreadPoolExecutor(processes) as pool:
    work = [pool.submit(_work, study, total, config, given, stop, slots) for _ in range(processes)]
    while concurrent.futures.wait(work, 0.5).not_done:
      pass
  for one in work:
    one.result()


def _work(study: Study, total: int, config: str, given: Sequence[str], stop: Stop, slots: Slots) -> None:
  with slots.one() as (environment, _):
    while not stop.asked.is_set() and (claimed := study.next(total)) is not None:
      try:
        own = [dimension.flag(claimed.values[dimension.key]) for dimension in study.space]
        again = " is resumed" if claimed.resumed else ""
        say(f"trial {claimed.number}{again}: {' '.join(flag.removeprefix('--config.') for flag in own)}")
        ended = run_trial(claimed, training(config, [*given, *own], claimed.folder), study.metric, environment, stop)
        if ended.state == "STOPPED":
          stop.asked.set()
          return
        study.tell(claimed, ended.value, ended.state, ended.why)
        told = f"{study.metric.removeprefix('-')} {ended.value:.4g}" if ended.value is not None else ended.why
        say(f"trial {claimed.number} {WORDS[ended.state]}: {told}", error=ended.state == "FAIL")
      except BaseException:
        stop.asked.set()
        raise
      finally:
        claimed.lock.close()
