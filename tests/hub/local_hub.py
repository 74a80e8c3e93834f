"""A Hub on the loopback: real HTTP for the real ``huggingface_hub`` client, with faults on demand.

It keeps repos in memory and answers what the client asks when it creates a repo, uploads, tags and downloads. Small
files come from the Hub itself, large ones by redirect from a CDN under another host name, as on the real one.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

LARGE = (".safetensors", ".png")
MAIN = "main"


@dataclass
class Stored:
    content: bytes
    large: bool

    @property
    def sha256(self):
        return hashlib.sha256(self.content).hexdigest()

    @property
    def sha1(self):
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    def described(self, name):
        lfs = {"sha256": self.sha256, "size": len(self.content), "pointerSize": 134}
        told = {"rfilename": name, "size": len(self.content), "blobId": self.sha1}
        return {**told, "lfs": lfs} if self.large else told


@dataclass
class Repo:
    name: str
    private: bool = False
    gated: bool = False
    commits: dict = field(default_factory=dict)  # commit -> {file name: Stored}
    messages: list = field(default_factory=list)
    branches: dict = field(default_factory=dict)
    tags: dict = field(default_factory=dict)

    def commit(self, files, message="", branch=MAIN):
        oid = hashlib.sha1(f"{self.name}{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[oid] = dict(files)
        self.messages.append(message)
        self.branches[branch] = oid
        return oid

    def resolve(self, revision):
        revision = unquote(revision)
        found = self.branches.get(revision) or self.tags.get(revision) or revision
        return found if found in self.commits else None

    @property
    def head(self):
        return self.branches[MAIN]

    @property
    def files(self):
        return {name: stored.content for name, stored in self.commits[self.head].items()}


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict = field(default_factory=dict)


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
            return self.send(_json({"standardEnvVars": [], "harnesses": {}}))
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
            return _error(401, "Invalid credentials in Authorization header")
        user = self.hub.tokens.get(token)
        for method, pattern, respond in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                return respond(self.hub, user, body, self, **found.groupdict())
        return _error(404, f"no such page: {path}")


def _error(status, message, code=None, **headers):
    told = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}
    return Answer(status, json.dumps({"error": message}).encode(), told)


def _json(content):
    return Answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})


def _visible(respond):
    """For pages about a repo: follows renames, and hides what isn't there or private."""

    def wrapped(hub, user, body, request, repo, **rest):
        if repo in hub.renamed:
            return Answer(307, b"", {"Location": request.path.replace(repo, hub.renamed[repo])})
        found = hub.repos.get(repo)
        if found is None or (found.private and user != repo.split("/")[0]):
            return _error(404 if user else 401, "Repository not found", "RepoNotFound")
        return respond(hub, user, body, request, found, **rest)

    return wrapped


def _owned(respond):
    """For pages that change a repo."""

    def wrapped(hub, user, body, request, repo, **rest):
        if user != repo.name.split("/")[0]:
            return _error(403 if user else 401, "You don't have the rights required to do this.")
        return respond(hub, user, body, request, repo, **rest)

    return wrapped


def _whoami(hub, user, body, request):
    return _json({"type": "user", "name": user, "orgs": []}) if user else _error(401, "Who are you?")


def _create(hub, user, body, request):
    asked = json.loads(body)
    owner = asked.get("organization") or user
    if user is None:
        return _error(401, "Invalid username or password.")
    if owner != user:
        return _error(403, f"You don't have the rights to create a model under the namespace {owner}.")
    name = f"{owner}/{asked['name']}"
    if name in hub.repos:
        answer = _error(409, "You already created this model repo")
        return Answer(409, json.dumps({"url": f"{hub.url}/{name}"}).encode(), answer.headers)
    hub.repo(name, private=asked.get("visibility") == "private" or bool(asked.get("private")))
    return _json({"url": f"{hub.url}/{name}", "name": name})


def _validate(hub, user, body, request):
    """What the real Hub insists on, as far as cards of ours are concerned."""
    card = json.loads(body)["content"]
    head = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    data = yaml.safe_load(head[1]) if head else {}
    lists = [name for name in ("tags", "datasets") if not all(isinstance(entry, str) for entry in data.get(name, []))]
    wrong = [f'"{name}" must be an array of strings' for name in lists]
    if not isinstance(data.get("license", ""), str) or data.get("license") == "nonesuch":
        wrong.append('"license" must be one of a list')
    for model in data.get("model-index", []):
        for result in model["results"]:
            if not (
                model["name"] and result["task"]["type"] and result["dataset"]["name"] and result["dataset"]["type"]
            ):
                wrong.append('"model-index" is incomplete')
            if not all(m["type"] and isinstance(m["value"], (int, float)) for m in result["metrics"]):
                wrong.append('"model-index" has a metric without a value')
    answer = _json({"errors": [{"message": text} for text in wrong], "warnings": []})
    answer.status = 400 if wrong else 200
    return answer


@_visible
def _info(hub, user, body, request, repo, revision=MAIN):
    commit = repo.resolve(revision)
    if commit is None:
        return _error(404, f"Invalid rev id: {unquote(revision)}", "RevisionNotFound")
    files = repo.commits[commit]
    blobs = "blobs" in parse_qs(urlsplit(request.path).query)
    siblings = [stored.described(name) if blobs else {"rfilename": name} for name, stored in files.items()]
    told = {"id": repo.name, "modelId": repo.name, "sha": commit, "private": repo.private, "gated": repo.gated}
    return _json({**told, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings})


@_visible
def _tree(hub, user, body, request, repo, revision):
    """Our own code doesn't ask for it, huggingface_hub's snapshot_download does."""
    entries = []
    for name, stored in repo.commits[repo.resolve(revision)].items():
        told = {"type": "file", "path": name, "size": len(stored.content), "oid": stored.sha1}
        lfs = {"oid": stored.sha256, "size": len(stored.content), "pointerSize": 134}
        entries.append({**told, "lfs": lfs} if stored.large else told)
    return _json(entries)


@_visible
def _refs(hub, user, body, request, repo):
    def listed(names, kind):
        return [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": c} for n, c in names.items()]

    return _json({"branches": listed(repo.branches, "heads"), "tags": listed(repo.tags, "tags"), "converts": []})


@_visible
@_owned
def _preupload(hub, user, body, request, repo, revision):
    there = repo.commits[repo.head]
    files = []
    for asked in json.loads(body)["files"]:
        path = asked["path"]
        mode = "lfs" if path.endswith(LARGE) else "regular"
        oid = (there[path].sha256 if there[path].large else there[path].sha1) if path in there else None
        files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return _json({"commitOid": repo.head, "files": files})


def _batch(hub, user, body, request, repo):
    asked = json.loads(body)
    objects = []
    for found in asked["objects"]:
        told = {"oid": found["oid"], "size": found["size"]}
        if found["oid"] not in hub.large:
            upload = {"href": f"{hub.cdn}/cdn/{found['oid']}", "header": {}}
            verify = {"href": f"{hub.url}/api/verify", "header": {}}
            told["actions"] = {"upload": upload, "verify": verify}
        objects.append(told)
    return _json({"transfer": "basic", "objects": objects})


def _upload(hub, user, body, request, oid):
    if hashlib.sha256(body).hexdigest() != oid:
        return _error(400, "the content isn't what its name says")
    hub.large[oid] = body
    return Answer(200)


def _verify(hub, user, body, request):
    return Answer(200) if json.loads(body)["oid"] in hub.large else _error(404, "not uploaded")


@_visible
@_owned
def _commit(hub, user, body, request, repo, branch):
    files, header = dict(repo.commits[repo.head]), {}
    for line in body.splitlines():
        entry = json.loads(line)
        value = entry["value"]
        if entry["key"] == "header":
            header = value
        elif entry["key"] == "file":
            files[value["path"]] = Stored(base64.b64decode(value["content"]), False)
        elif entry["key"] == "lfsFile":
            if value["oid"] not in hub.large:
                return _error(400, f"LFS object {value['oid']} was not uploaded")
            files[value["path"]] = Stored(hub.large[value["oid"]], True)
    if header.get("parentCommit") not in (None, repo.head):
        return _error(412, "The branch has moved since")
    oid = repo.commit(files, header["summary"])
    return _json({"success": True, "commitOid": oid, "commitUrl": f"{hub.url}/{repo.name}/commit/{oid}"})


@_visible
@_owned
def _tag(hub, user, body, request, repo, revision):
    tag = json.loads(body)["tag"]
    if tag in repo.tags:
        return _error(409, f"Tag {tag} already exists")
    repo.tags[tag] = repo.resolve(revision)
    return Answer(200, b"{}")


@_visible
def _file(hub, user, body, request, repo, revision, path):
    commit = repo.resolve(revision)
    if commit is None:
        return _error(404, "Invalid rev id", "RevisionNotFound")
    if repo.gated and user not in hub.readers:
        return _error(403 if user else 401, f"Access to model {repo.name} is restricted.", "GatedRepo")
    headers = {"X-Repo-Commit": commit}
    stored = repo.commits[commit].get(unquote(path))
    if stored is None:
        return _error(404, "Entry not found", "EntryNotFound", **headers)
    if stored.large:
        linked = {"X-Linked-Etag": f'"{stored.sha256}"', "X-Linked-Size": str(len(stored.content))}
        return Answer(302, b"", {**headers, **linked, "Location": f"{hub.cdn}/cdn/{stored.sha256}"})
    return _ranged(request, stored.content, {**headers, "ETag": f'"{stored.sha1}"'})


def _cdn(hub, user, body, request, oid):
    return _ranged(request, hub.large[oid], {"ETag": f'"{oid}"'}) if oid in hub.large else _error(404, "gone")


def _ranged(request, content, headers):
    headers = {**headers, "Accept-Ranges": "bytes"}
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    if not asked:
        return Answer(200, content, headers)
    start = int(asked[1])
    if start >= len(content):
        return Answer(416, b"", headers)
    told = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return Answer(206, content[start:], {**headers, "Content-Range": told})


_REPO = r"(?P<repo>[^/]+/[^/]+)"
_ROUTES = [
    (("GET",), "/api/whoami-v2", _whoami),
    (("POST",), "/api/repos/create", _create),
    (("POST",), "/api/validate-yaml", _validate),
    (("POST",), "/api/verify", _verify),
    (("GET",), f"/api/models/{_REPO}", _info),
    (("GET",), f"/api/models/{_REPO}/revision/(?P<revision>[^/]+)", _info),
    (("GET",), f"/api/models/{_REPO}/refs", _refs),
    (("GET",), f"/api/models/{_REPO}/tree/(?P<revision>[^/]+)", _tree),
    (("POST",), f"/api/models/{_REPO}/preupload/(?P<revision>[^/]+)", _preupload),
    (("POST",), f"/api/models/{_REPO}/commit/(?P<branch>[^/]+)", _commit),
    (("POST",), f"/api/models/{_REPO}/tag/(?P<revision>[^/]+)", _tag),
    (("POST",), rf"/{_REPO}\.git/info/lfs/objects/batch", _batch),
    (("PUT",), r"/cdn/(?P<oid>[0-9a-f]{64})", _upload),
    (("GET", "HEAD"), r"/cdn/(?P<oid>[0-9a-f]{64})", _cdn),
    (("GET", "HEAD"), f"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _file),
]
