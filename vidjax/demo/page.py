"""The layout of the page, in Gradio, and its server. It asks for nothing from anywhere but the server itself."""

import contextlib
import pathlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

from vidjax.demo import markup
from vidjax.demo.answers import MEGABYTE, Limits, Picture, answer, kept, names_uploads, uploaded
from vidjax.errors import InputError
from vidjax.predict.predictor import Prediction

POLICY = (
  "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
  " img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'"
)
"""What a browser may load for the page: only what the server has."""
FONTS = ("system-ui", "sans-serif")
MOST_BYTES = 10**6
"""Of a request that is no upload."""
OLD = 3600
"""Seconds. An upload that nobody asked about is deleted when it is that old."""


def make_page(
  heading: str,
  title: str,
  predict: Callable[[str], Prediction],
  pictures: list[Picture],
  limits: Limits,
  folder: pathlib.Path,
) -> Any:
  """The page of a network.

  Args:
    heading: from `markup.heading`.
    title: of the browser's window.
    predict: from `make_predictor`.
    pictures: from `pictures_of`.
    limits: what a film may have.
    folder: where Gradio puts uploads.
  """
  import gradio as gr  # pyright: ignore[reportMissingImports]

  with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(OLD // 6, OLD)) as page:
    gr.HTML(heading)
    with gr.Row():
      with gr.Column(scale=2, min_width=280):
        film = gr.File(label="A film", height=190, elem_classes="upload")
        gr.HTML(markup.rules(limits))
      with gr.Column(scale=3, min_width=280):
        results = gr.HTML(markup.waiting())
    with gr.Tabs():
      looks = []
      for picture in pictures:
        with gr.Tab(picture.title):
          looks.append(gr.HTML(markup.look(picture, None)))

    def take(sent: Any) -> list[Any]:
      try:
        return [None, kept(sent, folder), markup.queued()]
      except InputError as error:
        return [None, None, markup.wrong(str(error))]

    def see(sent: Any) -> Iterator[list[Any]]:
      blank = [markup.look(picture, None) for picture in pictures]
      try:
        with uploaded(sent, folder) as (path, name):
          yield [markup.reading(name), *blank]
          for known in answer(path, name, predict, pictures, limits):
            yield [markup.classes(known), *(markup.look(picture, known) for picture in pictures)]
      except InputError as error:
        yield [markup.wrong(str(error)), *blank]
      except Exception:
        yield [markup.wrong("Something is wrong with this page: its terminal says more."), *blank]
        raise

    def forget(sent: Any) -> None:
      with contextlib.suppress(InputError), uploaded(sent, folder):
        pass

    own = gr.State(None, time_to_live=OLD, delete_callback=forget)
    # Without preprocess, since that would leave out the film's own name.
    sent = film.upload(take, film, [film, own, results], queue=False, show_progress="hidden", preprocess=False)
    sent.then(see, own, [results, *looks], show_progress="hidden", concurrency_limit=1)
  return page


def serve(page: Any, place: socket.socket, limits: Limits, folder: pathlib.Path) -> None:
  """Serves a page until a signal ends it.

  Args:
    page: from `make_page`.
    place: a bound socket.
    limits: whose size is that of an upload at most.
    folder: where Gradio puts uploads.
  """
  import gradio as gr  # pyright: ignore[reportMissingImports]
  import uvicorn  # pyright: ignore[reportMissingImports]
  from fastapi import FastAPI  # pyright: ignore[reportMissingImports]

  theme = gr.themes.Soft(primary_hue="teal", font=FONTS, font_mono=("ui-monospace", "monospace")).set(
    block_label_text_color="*primary_800",  # the theme's own is too pale to read
    color_accent="*primary_700",
  )
  app = gr.mount_gradio_app(
    FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
    page.queue(max_size=16, default_concurrency_limit=1),
    "/",
    css=markup.CSS,
    theme=theme,
    max_file_size=int(limits.mb * MEGABYTE),
    show_error=False,
    footer_links=[],
    run_history=False,
    enable_monitoring=False,
    ssr_mode=False,
    pwa=False,
    mcp_server=False,
  )
  config = uvicorn.Config(_Guarded(app, folder), log_level="warning", timeout_graceful_shutdown=1, lifespan="on")
  uvicorn.Server(config).run(sockets=[place])


class _Guarded:
  """Adds POLICY to every response, and refuses requests that name other files than uploads.

  Gradio, mounted as here, would copy whatever file of this machine a request names, and fetch addresses.
  """

  def __init__(self, app: Any, folder: pathlib.Path):
    self._app, self._folder = app, folder

  async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
    async def with_policy(message: Any) -> None:
      if message["type"] == "http.response.start":
        message["headers"] = [*message.get("headers", []), (b"content-security-policy", POLICY.encode())]
      await send(message)

    if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] != "/gradio_api/upload":
      body, more = b"", True
      while more and len(body) <= MOST_BYTES:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
      if more or not names_uploads(body, self._folder):
        await with_policy({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b"a request names an upload and nothing else"})
        return
      await self._app(scope, _again(body, receive), with_policy)
      return
    await self._app(scope, receive, with_policy)


def _again(body: bytes, receive: Any) -> Any:
  """What gives a body that was read already, and then what comes after it."""
  waiting = [{"type": "http.request", "body": body, "more_body": False}]

  async def give() -> Any:
    return waiting.pop() if waiting else await receive()

  return give
