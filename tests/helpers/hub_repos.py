"""What the local Hub keeps: repos with their commits, in memory, and what it says of them."""

import hashlib
from dataclasses import dataclass, field
from urllib.parse import unquote

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
