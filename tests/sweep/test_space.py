"""The space of a sweep: what it may say, and what is told of one that cannot be."""

import re

import pytest

from vidjax.errors import InputError
from vidjax.sweep.space import check_space, read_space

pytestmark = pytest.mark.filterwarnings("ignore:the load_module")  # ml_collections, on Python 3.11


def test_a_space_is_read_from_text_or_a_file(tmp_path):
  given = "a.b=log(1e-3,1); c[0].d = choice(optax.adamw, None, (8, 8), 'x', .5)\nn=int(1,3);u=uniform(0,1)"
  space = read_space(given)
  assert [f"{one.key}={one}" for one in space] == [
    *("a.b=log(0.001, 1.0)", "c[0].d=choice(optax.adamw, None, (8, 8), x, 0.5)", "n=int(1, 3)", "u=uniform(0.0, 1.0)")
  ]
  assert space[1].flag((8, 8)) == "--config.c[0].d=(8, 8)"
  (tmp_path / "space").write_text("# all of it\n" + given.replace(";", " # first\n"))
  assert read_space(str(tmp_path / "space")) == space


@pytest.mark.parametrize(
  ("given", "message"),
  [
    ("", "--space is empty"),
    ("missing.txt", "--space=missing.txt: neither KEY=log(a, b) nor a file"),
    ("=log(1, 2)", "'=log(1, 2)' must be KEY=log|uniform|int|choice(...)"),
    ("a=0.5", "'a=0.5': must be one of log(...), uniform(...), int(...), choice(...)"),
    ("a=lg(1, 2)", "there is no lg(...), but log, uniform, int, choice: did you mean 'log'?"),
    ("a=log(1, 2", "cannot be read: '(' was never closed"),
    ("a=log(0, 1)", "log takes numbers above 0"),
    ("a=log(1)", "log takes two numbers, the smaller one first"),
    ("a=uniform(2, 1)", "uniform takes two numbers, the smaller one first"),
    ("a=uniform(0, 1e999)", "uniform takes two numbers"),
    ("a=int(1.5, 2)", "int takes two whole numbers, the smaller one first"),
    ("a=choice(1)", "choice takes two different values or more"),
    ("a=choice(1, 1)", "choice takes two different values or more"),
    ("a=choice(f(), 1)", "f() is no value"),
    ("a=int(1, 2); a=int(1, 3)", "--space names a twice"),
  ],
)
def test_what_cannot_be_read_is_named(given, message):
  with pytest.raises(InputError, match=re.escape(message)):
    read_space(given)


@pytest.mark.parametrize(
  ("given", "message"),
  [
    ("train.dtype=log(1, 2)", "train.dtype is no number but a str: use choice(a, b, ...)"),
    ("train.batch_size=log(8, 64)", "train.batch_size takes whole numbers: use int(a, b) or choice(a, b, ...)"),
    ("train.batch_size=choice('a', 32)", "flag --config.train.batch_size=a: must be an int"),
    ("seed=int(1, 2)", "--config.seed is given, too: leave one of them out"),
  ],
)
def test_values_that_the_config_does_not_take_are_named(given, message):
  with pytest.raises(InputError, match=re.escape(message)):
    check_space(read_space(given), "configs/quickstart.py", ["--config.seed=3"])


def test_an_unknown_key_names_the_nearest(capsys):
  with pytest.raises(SystemExit):
    check_space(read_space("model.dropot=choice(0, .5)"), "configs/quickstart.py", [])
  assert "config.model has no key 'dropot'" in (shown := capsys.readouterr().err)
  assert "did you mean 'dropout'?" in shown


def test_values_that_fit_are_taken():
  fine = "schedule.learning_rate=log(1e-3, 1); model.dropout=choice(0, .5); train.batch_size=int(8, 32)"
  fine += (
    "; transforms[0].size=choice(16, 32); optimizer.make=choice(optax.sgd, optax.adamw); train.ema_decay=log(.9, .99)"
  )
  check_space(read_space(fine), "configs/quickstart.py", [])
