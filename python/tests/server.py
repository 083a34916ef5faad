"""A server of files by range, which counts what is asked of it, and can be slow or wrong."""

import contextlib
import http.server
import re
import threading
import time


class Server:
    """What was asked, and how it is answered."""

    def __init__(self, files):
        self.files = files
        self.requests = 0
        self.bytes = 0
        self.delay = 0.0
        #: None, or how answers are wrong: "whole", "short", "other", "changed", "silent", "broken"
        self.fault = None
        self.headers = []
        self.url = ""

    def reset(self):
        self.requests = self.bytes = 0
        self.headers = []


@contextlib.contextmanager
def serving(files):
    """Serves `files`, contents by their paths: bytes, or what can be sliced."""
    state = Server(files)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            state.requests += 1
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            time.sleep(state.delay)
            data = state.files.get(self.path)
            if state.fault == "silent":
                time.sleep(5)
                self.close_connection = True
                return
            if state.fault == "broken":
                return self.answer(500, b"", {})
            if data is None:
                return self.answer(404, b"", {})
            etag = '"2"' if state.fault == "changed" else '"1"'
            if self.headers.get("If-Match", etag) != etag:
                return self.answer(412, b"", {})
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if state.fault == "whole" or not wanted:
                return self.answer(200, data[:1000], {"ETag": etag})
            first, last = int(wanted[1]), min(int(wanted[2]), len(data) - 1)
            if first > last:
                return self.answer(416, b"", {})
            shift = 4096 if state.fault == "other" else 0
            told = {"ETag": etag, "Content-Range": f"bytes {first + shift}-{last + shift}/{len(data)}"}
            body = data[first : last + 1]
            state.bytes += len(body)
            if state.fault == "short":
                self.close_connection = True
                return self.answer(206, body[: len(body) // 2], told, len(body))
            self.answer(206, body, told)

        def answer(self, code, body, headers, length=None):
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    try:
        yield state
    finally:
        httpd.shutdown()
        httpd.server_close()
