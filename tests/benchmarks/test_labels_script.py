"""benchmarks/papers/labels.py from end to end, with tiny settings on the embedded digits."""

import json

import PIL.Image
import pytest
import torch

from benchmarks.papers import labels as script
from genaug.backends import Categorical, Spec
from genaug.data import load_data
from genaug.data.reading import read_samples
from genaug.modalities import Image

TINY = ["--data", "digits", "--seeds", "1", "--json"]
ORDER = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])  # the digit of each category


def run(capsys, *arguments):
    script.main([*TINY, *map(str, arguments)])
    captured = capsys.readouterr()
    return json.loads(captured.out.splitlines()[-1]), captured.err


class PerfectInfoGAN:
    """Real digits as if they were generated, each category a digit."""

    def __init__(self):
        self.spec = Spec(sample=Image(1, 8, 8), latents=(Categorical(name="c1", size=10),))
        data = read_samples(load_data("digits"))
        self.images, self.labels = data.x, data.labels

    def sample(self, n=None, *, labels=None, seed=None, c1=None):
        draws = torch.Generator().manual_seed(seed)
        codes = torch.randint(10, (n,), generator=draws) if c1 is None else c1
        picks = torch.rand(n, generator=draws)
        rows = torch.empty(n, dtype=torch.int64)
        for code, digit in enumerate(ORDER.tolist()):
            members, here = torch.nonzero(self.labels == digit).flatten(), codes == code
            rows[here] = members[(picks[here] * len(members)).long()]
        return self.images[rows], None


def test_a_perfect_generator_is_labelled_well(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(script, "generator_of", lambda *_: PerfectInfoGAN())
    settings = ["infogan", "--updates", 60, "--judge-updates", 60, "--samples", 500, "--results", tmp_path]
    result, output = run(capsys, *settings, "--max-wrong", 0.3)
    assert all(not isinstance(value, (dict, list)) for value in result.values()), "flat"
    assert result["judge_accuracy_min"] > 0.9
    for method in script.METHODS:
        assert result[f"infogan_{method}_refused"] == 0
        assert result[f"infogan_{method}_wrong_share_median"] < 0.15
        with PIL.Image.open(tmp_path / f"labels-infogan-{method}.png") as sheet:
            assert sheet.width > 10 * 48
    assert result["infogan_codes_acceptance_rate_median"] == 1
    assert (
        result["infogan_classifier_wrong_share_median"]
        <= result["infogan_classifier_wrong_share_without_rejection_median"]
    )
    assert "a full run costs" in output
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    codes = next(row for row in rows if row["method"] == "codes")
    assert codes["categories"] == ORDER.tolist()
    before = (tmp_path / "labels.jsonl").read_bytes()
    monkeypatch.setattr(script, "judge_for", lambda *_: pytest.fail("what was run is run again"))
    assert run(capsys, *settings, "--max-wrong", 0.3)[0] == result
    assert (tmp_path / "labels.jsonl").read_bytes() == before


def test_a_generator_is_trained_without_labels_and_a_refusal_is_a_result(tmp_path, capsys):
    """Three steps teach nothing: no sample is labelled, and the record says why."""
    tiny = ["--updates", 3, "--judge-updates", 3, "--samples", 20, "--steps", 3, "--batch-size", 8, "--device", "cpu"]
    folders = ["--results", tmp_path / "results", "--runs", tmp_path / "runs"]
    network = [word for option in ("width=4", "max_width=8", "latent_size=4") for word in ("--set", option)]
    result, output = run(capsys, "cgan", *tiny, *folders, *network)
    assert result["cgan_classifier_refused"] == result["cgan_codes_refused"] == 1
    assert "cgan, codes: refused: it has no categorical latent" in output
    rows = [json.loads(line) for line in (tmp_path / "results" / "labels.jsonl").read_text().splitlines()]
    assert [row["method"] for row in rows] == ["classifier", "codes"]
    assert "limits the share of wrong labels to 5.0%" in rows[0]["refused"]
    run_folder = next((tmp_path / "runs").iterdir())
    assert run_folder.name == "cgan-digits-3-width=4-max_width=8-latent_size=4-seed0"
    again, _ = run(capsys, run_folder, *tiny, *folders)
    assert again["cgan_classifier_refused"] == 1
    last = (tmp_path / "results" / "labels.jsonl").read_text().splitlines()
    assert len(last) == 4
    assert "weights" in json.loads(last[-1])
