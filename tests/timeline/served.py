"""Servers on the loopback: a folder over HTTP, a camera over RTSP."""

import contextlib
import functools
import http.server
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence

import av
import numpy as np


@contextlib.contextmanager
def served(folder, cut: int | None = None) -> Iterator[str]:
  """The address of a folder; `cut` bytes and no more are sent of each file."""

  class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
      pass

    def copyfile(self, source, outputfile):
      data = source.read()
      with contextlib.suppress(OSError):
        outputfile.write(data if cut is None else data[:cut])

  handler = functools.partial(Handler, directory=str(folder))
  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextlib.contextmanager
def rtsp(images: Sequence[np.ndarray], rate: int, gone: Callable[[], bool] = lambda: False) -> Iterator[str]:
  """The address of a camera that shows these images in turn to one viewer, until it is gone: H.264 over TCP."""
  stop = threading.Event()
  server = socket.create_server(("127.0.0.1", 0))
  address = f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"
  sdp = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
  )

  def answer(viewer: socket.socket) -> None:
    """The requests up to PLAY."""
    lines = viewer.makefile("r", newline="\r\n")
    while True:
      request = [line.strip() for line in iter(lines.readline, "\r\n")]
      verb = request[0].split()[0]
      head = [line for line in request if line.lower().startswith("cseq")]
      body = ""
      if verb == "OPTIONS":
        head.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
      if verb == "DESCRIBE":
        head += ["Content-Type: application/sdp", f"Content-Length: {len(sdp)}"]
        body = sdp
      if verb in ("SETUP", "PLAY"):
        head += ["Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"][: 2 if verb == "SETUP" else 1]
      viewer.sendall(("\r\n".join(["RTSP/1.0 200 OK", *head]) + "\r\n\r\n" + body).encode())
      if verb == "PLAY":
        return

  def serve() -> None:
    with contextlib.suppress(OSError, ValueError):
      viewer, _ = server.accept()
      with viewer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
        answer(viewer)
        packets.bind(("127.0.0.1", 0))
        packets.settimeout(0.01)
        film = av.open(f"rtp://127.0.0.1:{packets.getsockname()[1]}", "w", format="rtp")
        stream = film.add_stream("libx264", rate=rate, options={"tune": "zerolatency", "g": "5"})
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], "yuv420p"
        for number in itertools.count():
          if stop.wait(1 / rate) or gone():
            break
          film.mux(stream.encode(av.VideoFrame.from_ndarray(images[number % len(images)], format="rgb24")))
          with contextlib.suppress(TimeoutError):
            while packet := packets.recv(2048):
              viewer.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)

  thread = threading.Thread(target=serve, daemon=True)
  thread.start()
  try:
    yield address
  finally:
    stop.set()
    server.close()
    thread.join(5)
