"""What the tests of pushes share."""

REPO = "owner/digits"


def push(generator, **options):
    return generator.push(REPO, **{"license": "apache-2.0", **options})


def card_of(hub):
    return hub.repos[REPO].files["README.md"].decode()


def edit(hub, change):
    """A person edits the card on the website."""
    hub.put(REPO, {"README.md": change(card_of(hub)).encode()})
