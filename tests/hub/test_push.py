"""What a push sends, and what it rejects before anything is sent."""

import pytest
import torch
from helpers.hub_faults import status
from helpers.local_hub import Answer
from helpers.publishing import REPO, card_of, edit, push
from huggingface_hub import ModelCard, constants, get_session

import genaug
from genaug.artifacts.figures import write_evaluation
from genaug.errors import FormatError, HubError, InputError
from genaug.hub import client

PUBLISHED = ["config.json", "model.safetensors", "README.md", "samples.png"]


class TestTheCommit:
    def test_one_commit_with_four_files_and_a_tag(self, hub, generator):
        published = push(generator, tag="v1.0", commit_message="first")
        repo = hub.repos[REPO]
        assert repo.messages == ["initial commit", "first"]
        assert sorted(repo.files) == sorted([".gitattributes", *PUBLISHED])
        assert repo.tags == {"v1.0": repo.head}
        assert (published.commit, published.url) == (repo.head, f"{hub.url}/{REPO}")
        assert list(published.files) == PUBLISHED
        assert dict(published.files) == {name: repo.files[name] for name in PUBLISHED}
        assert repo.files["samples.png"].startswith(b"\x89PNG")
        assert not repo.private

    def test_a_pushed_generator_loads_the_same(self, hub, generator):
        push(generator, tag="v1.0")
        loaded = genaug.load(REPO, revision="v1.0", device="cpu")
        assert torch.equal(loaded.sample(50, seed=3)[0], generator.sample(50, seed=3)[0])
        assert loaded.spec == generator.spec
        assert loaded.training == generator.training

    def test_the_token_is_sent_only_to_the_hub(self, hub, generator):
        push(generator, private=True)
        genaug.load(REPO, device="cpu")
        assert len(hub.asked("(PUT|GET) /cdn/")) == 3
        for line, headers in hub.log:
            assert ("authorization" in headers) == ("/cdn/" not in line), line

    def test_a_push_without_changes_only_adds_the_tag(self, hub, generator):
        push(generator)
        again = push(generator, tag="v1.0")
        assert len(hub.repos[REPO].commits) == 2
        assert hub.repos[REPO].tags == {"v1.0": again.commit}
        push(generator, tag="v1.0")  # the tag is on that commit already

    def test_a_new_version_does_not_move_the_old_tag(self, hub, generator, make_generator):
        push(generator, tag="v1.0")
        newer = make_generator(weights_seed=1)
        push(newer, tag="v2.0")
        for revision, expected in (("v1.0", generator), ("v2.0", newer), (None, newer)):
            loaded = genaug.load(REPO, revision=revision, device="cpu")
            assert torch.equal(loaded.sample(9, seed=0)[0], expected.sample(9, seed=0)[0])

    def test_somebody_else_uses_the_tag_meanwhile(self, hub, generator):
        def taken(request, answer):
            hub.repos[REPO].tags["v1.0"] = next(iter(hub.repos[REPO].commits))
            request.send(Answer(409, b"{}"))

        hub.fault("POST .*/tag/", taken, unheard=True)
        with pytest.raises(HubError, match=r"put 'v1\.0' on another commit meanwhile\. Push again with another tag"):
            push(generator, tag="v1.0")
        assert len(hub.repos[REPO].commits) == 2

    def test_a_private_repo_stays_private(self, hub, generator):
        push(generator, private=True)
        assert hub.repos[REPO].private
        push(generator)
        assert hub.repos[REPO].private, "a later push doesn't change it"

    def test_a_private_push_to_a_public_repo_is_rejected(self, hub, generator):
        hub.repo(REPO)
        with pytest.raises(HubError, match="is public already, and a push can't change that"):
            push(generator, private=True)
        assert not hub.asked("PUT|commit")

    def test_the_client_is_restored(self, hub, generator):
        before = get_session()
        push(generator)
        hub.fault("POST .*preupload", status(500), unheard=True)
        with pytest.raises(HubError):
            push(generator, license="mit")
        assert get_session() is before
        assert "send" not in vars(before)
        assert constants.HF_HUB_DISABLE_XET is False

    def test_every_request_of_a_push_can_time_out(self, hub, generator, monkeypatch):
        limits = []
        client_class = type(get_session())
        send = client_class.send

        def noting(self, request, **options):
            limits.append(request.extensions["timeout"])
            return send(self, request, **options)

        monkeypatch.setattr(client_class, "send", noting)
        push(generator, tag="v1.0")
        assert len(limits) > 10
        assert all(0 < seconds <= client.SILENCE for limit in limits for seconds in limit.values())


class TestConcurrentCreation:
    """The client retries immediately and forever if the Hub says that another operation is in progress."""

    @staticmethod
    def busy(request, answer):
        text = b'{"error": "Cannot create repo: another conflicting operation is in progress"}'
        request.send(Answer(409, text))

    def test_it_ends(self, hub, generator):
        hub.fault("POST /api/repos/create", self.busy, unheard=True)
        with pytest.raises(HubError, match="failed several times"):
            push(generator)
        assert len(hub.asked("POST /api/repos/create")) == 4

    def test_it_passes(self, hub, generator):
        hub.fault("POST /api/repos/create", self.busy, times=1, unheard=True)
        assert push(generator).commit == hub.repos[REPO].head
        assert hub.slept == [1]


class TestRejections:
    """Before any byte is sent."""

    def test_a_license_is_required(self, hub, generator):
        with pytest.raises(InputError, match=r"No license is stated.*Nothing was sent.*--license.*--force"):
            generator.push(REPO)
        assert not hub.log

    def test_without_a_license_force_says_so_on_the_card(self, hub, generator):
        generator.push(REPO, force=True)
        assert "> **No license is stated" in card_of(hub)
        assert ModelCard(card_of(hub)).data.license == "unknown"

    @pytest.mark.parametrize("license", ["unknown", "Unknown"])
    def test_unknown_is_not_a_license(self, hub, generator, license):
        with pytest.raises(InputError, match=r"'[Uu]nknown' is not the identifier of a license. Expected one such as"):
            generator.push(REPO, license=license)
        assert not hub.log

    def test_a_push_forced_without_a_license_does_not_provide_one_for_later(self, hub, saved):
        (saved.folder / "README.md").write_text(saved.push(REPO, force=True).card)  # as `genaug pull --out` brings it
        with pytest.raises(InputError, match="No license is stated"):
            saved.push("owner/copy")

    def test_the_license_on_the_hub_counts_with_force(self, hub, generator):
        hub.repo(REPO, {"README.md": b"---\nlicense: mit\n---\nMine.\n"})
        generator.push(REPO, force=True)
        assert "License: mit." in card_of(hub)
        assert "No license" not in card_of(hub)

    def test_a_failed_check_is_published_with_the_generator(self, hub, saved):
        write_evaluation(saved.folder, {"copying": {"passed": False}, "fid": {"value": 9.5}})
        push(saved, force=True)
        loaded = genaug.load(REPO, device="cpu")
        with pytest.raises(InputError, match=r"check for copies .* failed\. Nothing was sent\. Train another"):
            loaded.push("owner/copy", license="mit")
        assert "owner/copy" not in hub.repos
        loaded.push("owner/copy", license="mit", force=True)
        assert "| 9.5 |" in hub.repos["owner/copy"].files["README.md"].decode()
        assert hub.repos["owner/copy"].files["config.json"] == hub.repos[REPO].files["config.json"]

    def test_a_failed_copying_check(self, hub, saved):
        write_evaluation(saved.folder, {"copying": {"value": 0.4, "passed": False}})
        with pytest.raises(InputError, match=r"A check for copies of training images failed"):
            push(saved)
        assert not hub.log
        push(saved, force=True)
        assert "> **A check for copies of training images failed.**" in card_of(hub)
        assert "| copying | check for copies of training images | **failed**, 0.4 |" in card_of(hub)

    def test_a_failed_check_is_remembered_by_the_card(self, hub, saved, generator, make_generator):
        write_evaluation(saved.folder, {"copying": {"passed": False}})
        push(saved, force=True)
        commits = len(hub.repos[REPO].commits)
        with pytest.raises(InputError, match="copies of training images failed"):
            push(generator)  # the same weights, from a folder without a record of the check
        assert len(hub.repos[REPO].commits) == commits
        push(generator, force=True)
        assert "> **A check for copies of training images failed.**" in card_of(hub)
        push(make_generator(weights_seed=1))
        assert "failed" not in card_of(hub)

    def test_a_passed_copying_check(self, hub, saved):
        write_evaluation(saved.folder, {"copying": {"value": 0.01, "passed": True}})
        push(saved)
        assert "| passed, 0.01 |" in card_of(hub)
        assert "> **" not in card_of(hub)

    def test_the_verdict_may_be_in_the_training_record(self, hub, generator):
        generator.training["evaluation"] = {"metrics": {"copying": {"passed": False}}}
        with pytest.raises(InputError, match="copies of training images"):
            push(generator)
        assert not hub.log

    def test_figures_of_other_weights(self, hub, saved, make_generator):
        write_evaluation(saved.folder, {"fid": {"value": 3}})
        make_generator(weights_seed=1).save(saved.folder, overwrite=True)
        with pytest.raises(InputError, match=r"evaluation\.json was measured with other weights"):
            push(genaug.load(saved.folder, device="cpu"))
        assert not hub.log

    def test_a_broken_evaluation(self, hub, saved):
        (saved.folder / "evaluation.json").write_text('{"metrics": {"fid": {"value": "low"}}}')
        with pytest.raises(FormatError, match=r"metrics\.fid\.value"):
            push(saved)
        assert not hub.log

    @pytest.mark.parametrize(
        ("repo", "options", "message"),
        [
            ("digits", {}, r"the owner is missing\). Expected owner/name"),
            ("owner/name/more", {}, "is not a Hub id"),
            ("../evil", {}, "is not a Hub id"),
            ("owner/na me", {}, "is not a Hub id"),
            (REPO, {"tag": "v 1"}, "'v 1' is not a valid name for a tag"),
            (REPO, {"tag": "../main"}, "is not a valid name for a tag"),
            (REPO, {"tag": ""}, "is not a valid name for a tag"),
            (REPO, {"license": "Apache License 2.0"}, "is not the identifier of a license"),
        ],
    )
    def test_invalid_arguments(self, hub, generator, repo, options, message):
        with pytest.raises(InputError, match=message):
            generator.push(repo, **{"license": "mit", **options})
        assert not hub.log

    def test_metadata_that_the_hub_rejects(self, hub, generator):
        with pytest.raises(InputError, match=r"the Hub rejects the card.*must be one of a list.*Correct README.md"):
            push(generator, license="nonesuch")
        assert not hub.asked("PUT|/commit/")


class TestDryRun:
    def test_it_shows_the_commit_and_sends_nothing(self, hub, generator):
        publication = push(generator, tag="v1.0", dry_run=True)
        assert all(line.startswith("GET") for line in hub.asked())
        assert not hub.repos
        text = str(publication)
        for part in (REPO, "a new public repo", "tag v1.0", "nothing was sent", *PUBLISHED):
            assert part in text
        assert publication.commit is None
        assert dict(push(generator, tag="v1.0").files) == dict(publication.files)

    def test_over_an_existing_card(self, hub, generator):
        push(generator)
        edit(hub, lambda card: card + "\nMy own words.\n")
        publication = push(generator, dry_run=True)
        assert "My own words." in publication.card
        assert f"now at commit {hub.repos[REPO].head[:12]}" in str(publication)

    def test_without_a_network(self, hub, generator, offline):
        offline()
        publication = push(generator, dry_run=True)
        assert "HF_HUB_OFFLINE=1" in publication.state
        assert list(publication.files) == PUBLISHED
        assert not hub.log

    def test_it_rejects_what_a_push_rejects(self, hub, generator):
        with pytest.raises(InputError, match="No license"):
            generator.push(REPO, dry_run=True)
