"""The local Hub's pages: what each request of ``huggingface_hub``'s client gets, as the real one answers."""

import base64
import hashlib
import json
import re
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from helpers.hub_repos import LARGE, MAIN, Answer, Stored


def as_error(status, message, code=None, **headers):
    told = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}
    return Answer(status, json.dumps({"error": message}).encode(), told)


def as_json(content):
    return Answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})


def _visible(respond):
    """For pages about a repo: follows renames, and hides what isn't there or private."""

    def wrapped(hub, user, body, request, repo, **rest):
        if repo in hub.renamed:
            return Answer(307, b"", {"Location": request.path.replace(repo, hub.renamed[repo])})
        found = hub.repos.get(repo)
        if found is None or (found.private and user != repo.split("/")[0]):
            return as_error(404 if user else 401, "Repository not found", "RepoNotFound")
        return respond(hub, user, body, request, found, **rest)

    return wrapped


def _owned(respond):
    """For pages that change a repo."""

    def wrapped(hub, user, body, request, repo, **rest):
        if user != repo.name.split("/")[0]:
            return as_error(403 if user else 401, "You don't have the rights required to do this.")
        return respond(hub, user, body, request, repo, **rest)

    return wrapped


def _whoami(hub, user, body, request):
    return as_json({"type": "user", "name": user, "orgs": []}) if user else as_error(401, "Who are you?")


def _create(hub, user, body, request):
    asked = json.loads(body)
    owner = asked.get("organization") or user
    if user is None:
        return as_error(401, "Invalid username or password.")
    if owner != user:
        return as_error(403, f"You don't have the rights to create a model under the namespace {owner}.")
    name = f"{owner}/{asked['name']}"
    if name in hub.repos:
        answer = as_error(409, "You already created this model repo")
        return Answer(409, json.dumps({"url": f"{hub.url}/{name}"}).encode(), answer.headers)
    hub.repo(name, private=asked.get("visibility") == "private" or bool(asked.get("private")))
    return as_json({"url": f"{hub.url}/{name}", "name": name})


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
    answer = as_json({"errors": [{"message": text} for text in wrong], "warnings": []})
    answer.status = 400 if wrong else 200
    return answer


@_visible
def _info(hub, user, body, request, repo, revision=MAIN):
    commit = repo.resolve(revision)
    if commit is None:
        return as_error(404, f"Invalid rev id: {unquote(revision)}", "RevisionNotFound")
    files = repo.commits[commit]
    blobs = "blobs" in parse_qs(urlsplit(request.path).query)
    siblings = [stored.described(name) if blobs else {"rfilename": name} for name, stored in files.items()]
    told = {"id": repo.name, "modelId": repo.name, "sha": commit, "private": repo.private, "gated": repo.gated}
    return as_json({**told, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings})


@_visible
def _tree(hub, user, body, request, repo, revision):
    """Our own code doesn't ask for it, huggingface_hub's snapshot_download does."""
    entries = []
    for name, stored in repo.commits[repo.resolve(revision)].items():
        told = {"type": "file", "path": name, "size": len(stored.content), "oid": stored.sha1}
        lfs = {"oid": stored.sha256, "size": len(stored.content), "pointerSize": 134}
        entries.append({**told, "lfs": lfs} if stored.large else told)
    return as_json(entries)


@_visible
def _refs(hub, user, body, request, repo):
    def listed(names, kind):
        return [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": c} for n, c in names.items()]

    return as_json({"branches": listed(repo.branches, "heads"), "tags": listed(repo.tags, "tags"), "converts": []})


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
    return as_json({"commitOid": repo.head, "files": files})


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
    return as_json({"transfer": "basic", "objects": objects})


def _upload(hub, user, body, request, oid):
    if hashlib.sha256(body).hexdigest() != oid:
        return as_error(400, "the content isn't what its name says")
    hub.large[oid] = body
    return Answer(200)


def _verify(hub, user, body, request):
    return Answer(200) if json.loads(body)["oid"] in hub.large else as_error(404, "not uploaded")


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
                return as_error(400, f"LFS object {value['oid']} was not uploaded")
            files[value["path"]] = Stored(hub.large[value["oid"]], True)
    if header.get("parentCommit") not in (None, repo.head):
        return as_error(412, "The branch has moved since")
    oid = repo.commit(files, header["summary"])
    return as_json({"success": True, "commitOid": oid, "commitUrl": f"{hub.url}/{repo.name}/commit/{oid}"})


@_visible
@_owned
def _tag(hub, user, body, request, repo, revision):
    tag = json.loads(body)["tag"]
    if tag in repo.tags:
        return as_error(409, f"Tag {tag} already exists")
    repo.tags[tag] = repo.resolve(revision)
    return Answer(200, b"{}")


@_visible
def _file(hub, user, body, request, repo, revision, path):
    commit = repo.resolve(revision)
    if commit is None:
        return as_error(404, "Invalid rev id", "RevisionNotFound")
    if repo.gated and user not in hub.readers:
        return as_error(403 if user else 401, f"Access to model {repo.name} is restricted.", "GatedRepo")
    headers = {"X-Repo-Commit": commit}
    stored = repo.commits[commit].get(unquote(path))
    if stored is None:
        return as_error(404, "Entry not found", "EntryNotFound", **headers)
    if stored.large:
        linked = {"X-Linked-Etag": f'"{stored.sha256}"', "X-Linked-Size": str(len(stored.content))}
        return Answer(302, b"", {**headers, **linked, "Location": f"{hub.cdn}/cdn/{stored.sha256}"})
    return _ranged(request, stored.content, {**headers, "ETag": f'"{stored.sha1}"'})


def _cdn(hub, user, body, request, oid):
    return _ranged(request, hub.large[oid], {"ETag": f'"{oid}"'}) if oid in hub.large else as_error(404, "gone")


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
ROUTES = [
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
