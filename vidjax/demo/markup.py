"""The parts of the page as HTML. Every name that comes from a run or a visitor is text in it, never markup."""

import base64
import html

from vidjax.console import counted, legible
from vidjax.demo.answers import Answer, Limits, Picture
from vidjax.run.opened import Run

CSS = """
.gradio-container { max-width: 1180px !important; margin: 0 auto; }
.dark { --color-accent: var(--primary-400); }
footer { display: none !important; }
.upload .or { color: inherit; }
.upload { border: 2px dashed var(--color-accent) !important; }
.head h1 { font-size: 1.7rem; margin: .4rem 0 .2rem; overflow-wrap: anywhere; }
.head p, .note { margin: 0; line-height: 1.5; overflow-wrap: anywhere; }
.note { font-size: .9rem; }
.head p, .note, .look figcaption { color: var(--body-text-color); opacity: .8; }
.head b { font-weight: 600; }
.film { font-weight: 600; margin: 0 0 .1rem; overflow-wrap: anywhere; }
.classes { list-style: none; margin: .8rem 0 .4rem; padding: 0; }
.classes li { margin: 0 0 .7rem; padding: 0; }
.classes .line { display: flex; justify-content: space-between; gap: 1rem; }
.classes .line span:first-child { overflow-wrap: anywhere; }
.classes .line span:last-child { font-variant-numeric: tabular-nums; }
.classes .bar { background: var(--border-color-primary); border-radius: 4px; height: 8px; margin-top: 3px; }
.classes .bar div { background: var(--color-accent); border-radius: 4px; height: 8px; min-width: 2px; }
.classes li:first-child .line { font-weight: 700; font-size: 1.15rem; }
.wrong { border-left: 4px solid #dc2626; padding: .6rem .9rem; overflow-wrap: anywhere; }
.look { margin: 0; }
.look figcaption { margin: 0 0 .6rem; }
.look .scroll { overflow-x: auto; width: 0; min-width: 100%; background: white; border-radius: 6px; }
.look .scroll:focus-visible { outline: 3px solid var(--color-accent); }
.look img { display: block; width: 100%; min-width: 640px; }
"""


def text(value: object) -> str:
  """A value as text of a page: markup is shown, and so are letters that do not print."""
  return html.escape(legible(str(value)))


def heading(run: Run, name: str, data: str, weights: str) -> str:
  """The title of the page and what the network was trained on.

  Args:
    run: the run.
    name: what it is called.
    data: what it was trained on.
    weights: which they are, such as "checkpoint of step 3".
  """
  size = " x ".join(map(str, run.clip_shape[1:3]))
  facts = (
    f"Trained on <b>{text(data)}</b>",
    counted(len(run.class_names), "class", "classes"),
    f"{text(type(run.network).__name__)} on {run.clip_shape[0]} frames of {size} pixels",
    text(weights),
  )
  return f'<header class="head"><h1>What does {text(name)} see?</h1><p>{" · ".join(facts)}</p></header>'


def rules(limits: Limits) -> str:
  """What a visitor should know before an upload."""
  return (
    f'<p class="note">MP4, MKV, WebM, AVI, MOV and what else FFmpeg reads, at most {limits.mb:g} MB and'
    f" {limits.seconds:g} seconds. One film at a time goes through the network; others wait in a queue. The film is"
    " deleted once it is answered.</p>"
  )


def waiting() -> str:
  """The place of the results before there are any."""
  return '<p class="note">The five likeliest classes stand here once a film is uploaded.</p>'


def queued() -> str:
  """What is shown before a film's turn."""
  return '<p class="note" role="status">The film is here and waits for its turn …</p>'


def reading(name: str) -> str:
  """What is shown while a film is read for the first time.

  Args:
    name: of the film.
  """
  return f'<div role="status"><p class="film">{text(name)}</p><p class="note">Reading the film …</p></div>'


def wrong(message: str) -> str:
  """A message of what is wrong with a film."""
  return f'<div class="wrong" role="alert">{text(message)}</div>'


def classes(answer: Answer) -> str:
  """The likeliest classes as a list of bars.

  Args:
    answer: to a film.
  """
  rows = "".join(
    f'<li><div class="line"><span>{text(name).replace("_", "_<wbr>")}</span><span>{score:.1%}</span></div>'
    f'<div class="bar" aria-hidden="true"><div style="width: {100 * min(max(score, 0), 1):.1f}%"></div></div></li>'
    for name, score in answer.best
  )
  length = f"{counted(answer.film.frames, 'frame')}, {answer.film.seconds:.1f} seconds"
  now = f"Drawing: {text(answer.next)} …" if answer.next else "Done: the pictures are below."
  return (
    f'<div role="status"><p class="film">{text(answer.film.name)}</p><p class="note">{length}</p>'
    f'<ol class="classes" aria-label="Likeliest classes">{rows}</ol><p class="note">{now}</p></div>'
  )


def look(picture: Picture, answer: Answer | None) -> str:
  """The contents of a picture's tab.

  Args:
    picture: which one.
    answer: to a film; None before there is any.
  """
  drawn = answer.pictures.get(picture.title, "") if answer else ""
  if isinstance(drawn, str):
    waits = "Drawn after the classes." if answer else "Drawn once a film is uploaded."
    return f'<p class="note">{text(picture.says)} {waits}</p>' if not drawn else wrong(drawn)
  data = f"data:image/png;base64,{base64.b64encode(drawn).decode()}"
  film, title = text(answer.film.name if answer else ""), text(picture.title)
  return (
    f'<figure class="look"><figcaption>{text(picture.says)}</figcaption>'
    f'<div class="scroll" tabindex="0" role="group" aria-label="{title} of {film}">'
    f'<img src="{data}" alt="{title} of {film}: {text(picture.says)}"></div></figure>'
  )
