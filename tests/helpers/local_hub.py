"""A Hub on the loopback: real HTTP for the real ``huggingface_hub`` client, with faults on demand.

It keeps repos in memory and answers what the client asks when it creates a repo, uploads, tags and downloads. Small
files come from the Hub itself, large ones by redirect from a CDN under another host name, as on the real one.
"""

import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from helpers.hub_pages import ROUTES, as_error, as_json
from helpers.hub_repos import LARGE, Answer, Repo, Stored

__all__ = ["Answer", "LocalHub"]


@dataclass
class Fault:
    """What happens to the requests whose "METHOD /path" matches: ``times`` of them, after the first ``skip``."""

    where: str
    act: object
    times: float = float("inf")
    skip: int = 0
    unheard: bool = False  # the request isn't even carried out

    def strikes(self, line):
        if not re.search(self.where, line):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


class LocalHub:
    def __init__(self):
        self.repos, self.renamed, self.large, self.log, self.faults = {}, {}, {}, [], []
        self.tokens = {"hf_owner": "owner", "hf_stranger": "stranger"}
        self.readers = set()  # who may read gated repos
        self.endless_bytes = 0
        self.over = threading.Event()
        self.lock = threading.RLock()
        self._servers = [_serve(self, "127.0.0.1"), _serve(self, "127.0.0.1")]
        # The CDN needs another host name: a token must not follow a redirect to it.
        self.url, self.cdn = (
            f"http://{host}:{server.server_address[1]}"
            for host, server in zip(("127.0.0.1", "localhost"), self._servers, strict=True)
        )

    def close(self):
        self.over.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fault(self, where, act, **options):
        self.faults.append(Fault(where, act, **options))

    def repo(self, name, files=None, **options):
        repo = self.repos[name] = Repo(name, **options)
        repo.commit({".gitattributes": Stored(b"*.safetensors filter=lfs\n", False)}, "initial commit")
        if files is not None:
            self.put(name, files)
        return repo

    def put(self, name, files, **commit):
        """A commit as anybody could make it, without any of our checks."""
        repo = self.repos[name]
        stored = {path: Stored(content, path.endswith(LARGE)) for path, content in files.items()}
        self.large |= {s.sha256: s.content for s in stored.values() if s.large}
        return repo.commit({**repo.commits[repo.head], **stored}, **commit)

    def asked(self, pattern="."):
        return [line for line, _ in self.log if re.search(pattern, line)]


def _serve(hub, host):
    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub = None

    def log_message(self, *args):
        pass

    def _handle(self):
        line = f"{self.command} {unquote(self.path)}"
        body = self._body()
        hub = self.hub
        if self.path == "/api/agent-harnesses":  # the client's own affair, and not in every environment
            return self.send(as_json({"standardEnvVars": [], "harnesses": {}}))
        with hub.lock:
            hub.log.append((line, {name.lower(): value for name, value in self.headers.items()}))
            fault = next((fault for fault in hub.faults if fault.strikes(line)), None)
            answer = Answer(200) if fault is not None and fault.unheard else self._answer(body)
        try:
            if fault is None:
                self.send(answer)
            else:
                fault.act(self, answer)
        except OSError:
            self.close_connection = True
        return None

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send(self, answer, sent=None, length=None):
        """The answer; or ``sent`` in place of its body, under the length of the whole (or another)."""
        whole = answer.body if sent is None else sent
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(whole)
            self.wfile.flush()

    def _answer(self, body):
        path = urlsplit(self.path).path
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens and not path.startswith("/cdn/"):
            return as_error(401, "Invalid credentials in Authorization header")
        user = self.hub.tokens.get(token)
        for method, pattern, respond in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                return respond(self.hub, user, body, self, **found.groupdict())
        return as_error(404, f"no such page: {path}")
