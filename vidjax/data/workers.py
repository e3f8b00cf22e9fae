"""Several films read at once, their results in the films' order."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
  function: Callable[[T], R], items: Iterable[T], workers: int
) -> Iterator[tuple[T, concurrent.futures.Future[R]]]:
  """Calls the function on every item in threads, a few items ahead; yields items and results in their order."""
  pending = collections.deque()
  with concurrent.futures.ThreadPoolExecutor(workers) as threads:
    try:
      for item in items:
        pending.append((item, threads.submit(function, item)))
        if len(pending) > 2 * workers:
          yield pending.popleft()
      while pending:
        yield pending.popleft()
    finally:
      for _, future in pending:
        future.cancel()
