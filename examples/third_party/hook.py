"""A webhook to try the relay with: ``python hook.py FOLDER [STATUS]`` keeps what is posted, and prints its URL.

Each message becomes a file of the folder, named after its queue id, beside one with its envelope.
"""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

FOLDER, STATUS = Path(sys.argv[1]), int((sys.argv[2:] or ["204"])[0])


class Hook(BaseHTTPRequestHandler):
    timeout = 10.0

    def do_POST(self) -> None:
        message = self.rfile.read(int(self.headers["Content-Length"]))
        number = len(list(FOLDER.glob("*.eml")))
        (FOLDER / f"{number}.json").write_text(self.headers["X-Envelope"])
        (FOLDER / f"{number}.eml").write_bytes(message)
        self.send_response(STATUS)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Standard output is for the URL."""


FOLDER.mkdir(parents=True, exist_ok=True)
with HTTPServer(("127.0.0.1", 0), Hook) as server:
    print(f"http://127.0.0.1:{server.server_port}/mail", flush=True)
    server.serve_forever()
