"""Figures that the plugins' READMEs and the docs quote are what the committed records say."""

import ast
import re
from statistics import mean, median

import pytest
from helpers.pages import blocks_of

from benchmarks.common.console import markdown
from benchmarks.common.record import RESULTS, TUNING, Record
from benchmarks.papers import paper_tables
from benchmarks.papers.results_page import DOCS, finished, middle, rows_of
from benchmarks.studies import small_studies, thesis_tables
from benchmarks.studies.tracked import recorded, report_of
from genaug.demo.report import demo_rows
from genaug.studies.compare import paired_difference

ROOT = DOCS.parent


def script_of(title):
    """The script with this name or title."""
    return next(script for script in paper_tables.SCRIPTS if title in (script.name, script.title))


def closed(text):
    """``text`` with percentages written as in the docs, without a space."""
    return re.sub(r"(?<=\d) %", "%", text)


def medians(title):
    """The measures of a script, by label, as the page writes them."""
    script = script_of(title)
    return {measure.label: closed(middle(measure)) for measure in script.measures(rows_of(script, RESULTS))}


def text(path):
    """A page with its lines joined."""
    return closed(" ".join(path.read_text(encoding="utf-8").split()))


def readme(plugin):
    return text(ROOT / "plugins" / f"genaug_{plugin}" / "README.md")


@pytest.fixture(scope="module")
def conditional():
    return medians("CGAN and the conditional MAD-GAN on MNIST")


def test_cgan(conditional):
    page = readme("cgan")
    assert f"requested label is recognized in {conditional['cgan: requested label recognized']}" in page
    assert f"only on samples scores {conditional['cgan: accuracy from samples alone']}" in page


def test_wgan_gp():
    page, curve, mixtures = readme("wgan_gp"), medians("wgan_gp_curve"), medians("mixtures_2d")
    latest = curve["Spearman, critic's estimate and KID"]
    assert f"over the course of training is {latest}" in page
    assert f"KID of the averaged generator, it is {curve['the same, with KID of the averaged generator']}" in page
    assert f"negated step number alone has a correlation of {curve['Spearman, negated step and KID']} with it" in page
    limits = medians("wgan_gp_limits")
    for name, words in (("few images", "100 training images"), ("high rate", "a learning rate of 1e-2")):
        labels = ("Spearman, critic's estimate and KID", "Spearman, the estimate on held-out images and KID")
        cells = [
            limits[f"{name}: {label}"]
            for label in (*labels, "largest increase of KID over an earlier minimum (factor)")
        ]
        assert f"| {words} | {' | '.join(cells)} |" in page
    assert f"it finds {mixtures['grid, wgan-gp: modes of 25']} of the 25" in page
    assert f"of the 8 modes of a ring, it finds {mixtures['ring, wgan-gp: modes of 8']}" in page


def test_mad_gan(conditional):
    page = readme("mad_gan")
    for k in (3, 5, 10):
        labels = [f"mad-gan-{k}: {of}" for of in ("requested label recognized", "accuracy from samples alone")]
        labels.append(f"k = {k}: generator recognized by a separate CNN")
        assert f"| {' | '.join([str(k), *(conditional[label] for label in labels)])} |" in page
    assert f"FID at k = 10 is {conditional['FID at k = 10 divided by that at k = 3']} times that at k = 3." in page


def test_mad_gan_in_the_plane():
    page, mixtures = readme("mad_gan"), medians("mixtures_2d")
    for name, method in (("`relativistic`", "mad-gan"), ("`madgan`, learning rate not tuned", "mad-gan-paper")):
        labels = [
            f"{mixture}, {method}: {of}"
            for mixture, modes in (("ring", 8), ("grid", 25))
            for of in (f"modes of {modes}", "high quality")
        ]
        assert f"| {name} | {' | '.join(mixtures[label] for label in labels)} |" in page


def test_mad_gan_with_generator_classification_to_the_end_and_halfway():
    page, recorded = readme("mad_gan"), Record(RESULTS / "mad_gan_1d.jsonl").rows({})
    latest = [row for row in recorded if row["seed"] < TUNING and row["config"] == recorded[-1]["config"]]
    for k in (4, 8):
        of_k = [row for row in latest if row["k"] == k]
        before, after = (median(row["kl"] for row in of_k if ("named" in row) == halfway) for halfway in (False, True))
        assert f"from {before:.3f} to {after:.3f} at k = {k}" in page
        counts = [sum(("named" in row) == halfway for row in of_k) for halfway in (False, True)]
        seeds = f"{counts[0]} seeds each" if counts[0] == counts[1] else f"{counts[0]} and {counts[1]} seeds"
        assert f"at k = {k} ({seeds}" in page
    of_four = [row for row in latest if row["k"] == 4 and "named" in row]
    kls = [row["kl"] for row in of_four]
    assert f"{min(kls):.3f} to {max(kls):.3f} over the {len(kls)}" in page
    missed = f"{100 * median(row['elsewhere'] for row in of_four):.2f}%"
    assert f"leaves out {missed} of the samples at k = 4 (median)" in page


def test_infogan():
    page, recorded = readme("infogan"), Record(RESULTS / "infogan_coloured_mnist.jsonl").rows({})
    (error,), color = medians("infogan_mnist").values(), medians("infogan_coloured_mnist")
    assert f"as a classifier of the test digits | 5 | {error} |" in page
    r2 = "R² of the stroke color as explained by the continuous codes, "
    first = next(label for label in color if label.startswith(f"{r2}seeds 0 to 2"))
    assert f"`continuous_as=modulation`, on the seeds whose failures prompted it | 3 | {color[first]} |" in page
    new = next(
        m
        for m in script_of("infogan_coloured_mnist").measures(rows_of(script_of("infogan_coloured_mnist"), RESULTS))
        if "new seeds" in m.label
    )
    if new.values:
        assert f"| the same, on new seeds | {len(new.values)} | {closed(middle(new))} |" in page
    beside_noise = {**recorded[-1]["config"], "continuous_as": "input"}
    earlier = [row for row in recorded if row["config"] == beside_noise and row["seed"] < TUNING]
    beside = next(
        measure for measure in script_of("infogan_coloured_mnist").measures(earlier) if measure.label == first
    )
    assert f"`continuous_as=input` | {len(beside.values)} | {closed(middle(beside))} |" in page


def test_autoencoders():
    script = script_of("autoencoders")
    measures = script.measures(rows_of(script, RESULTS))
    if finished(measures) < script.seeds:
        pytest.skip("the record isn't complete")
    page, figures = readme("vae"), medians("autoencoders")
    for name in ("mlp", "deep", "convolutional", "denoising"):
        assert f"| {name} | {figures[f'{name}: clean error']} | {figures[f'{name}: noisy error']} |" in page
    assert f"(whose own error is {figures['error of the noisy images themselves']})" in page
    assert f"is {figures['−ELBO of the vae, nats']} nats per test image" in page
    assert f"and {figures['−ELBO of the vae, thresholded, nats']} with pixels above half" in page


def test_the_figures_in_the_note_on_colored_digits():
    note = script_of("infogan_coloured_mnist").note
    recorded = Record(RESULTS / "infogan_coloured_mnist.jsonl").rows({})

    def value(name, seed, steps, continuous_as):
        settings = {"seed": seed, "steps": steps, "config": {**recorded[-1]["config"], "continuous_as": continuous_as}}
        return next(row[name] for row in recorded if all(row[key] == settings[key] for key in settings))

    first = [f"{value('r2', seed, 5000, 'input'):.3f}".lstrip("0") for seed in range(3)]
    assert f"seeds 0 to 2 had an R² of {first[0]}, {first[1]} and {first[2]}" in note
    by_category = f"{value('r2_of_category', 101, 250, 'input'):.2f}".lstrip("0")
    assert f"it alone explains {by_category} after 250 steps of seed 101" in note
    now = [f"{value('r2', seed, 1000, 'modulation'):.2f}".lstrip("0") for seed in (100, 101)]
    assert f"had {now[0]} and {now[1]} after 1,000 steps of these seeds" in note


def test_the_guide_to_labels():
    page, labels = text(DOCS / "labels.md"), medians("labels")
    for name, generator in (("classifiers", "infogan"), ("codes", "infogan"), ("classifiers", "wgan-gp")):
        of = f"{generator}, {name.replace('classifiers', 'classifier')}: "
        names = ("wrong labels", "estimated wrong labels", "accepted", "wrong labels without rejection")
        cells = [labels.get(of + label, "–") for label in names]
        assert f"| {name}, `{generator}` | {' | '.join(cells)} |" in page


def test_how_often_the_classifiers_were_overconfident():
    rows = Record(RESULTS / "labels.jsonl").rows({"generator": "wgan-gp", "method": "classifier"})
    of_five = [row for row in rows if row["seed"] < TUNING and "refused" not in row]
    assert sum(row["wrong_share"] > 2 * row["estimated_wrong_share"] for row in of_five) == 2
    assert len(of_five) == 5
    assert "in two of the five more than twice as many labels were wrong as were estimated" in text(DOCS / "labels.md")


def test_pages_say_which_gain_can_be_excluded_instead_of_that_there_is_none():
    cells = thesis_tables.cells_of(Record(RESULTS / "study_thesis.jsonl"), "digits")
    gains = thesis_tables.gains(cells)
    alone, beside = ({arm: d for arm, d in gains.items() if arm.classic == classic} for classic in (False, True))
    page, figure = text(DOCS / "results.md"), f"{100 * thesis_tables.highest_end(alone):.1f}"
    assert f"So with 100 digits no gain above {figure} points could be shown" in page
    assert f"a gain of {100 * thesis_tables.detectable_gain(alone):.1f} points would have been detected" in page
    upper = f"{100 * thesis_tables.highest_end(beside):+.1f}".replace("-", "−")
    assert f"On top of classic augmentation, the upper ends reach {upper} points" in page
    assert f"[no gain above {figure} points could be shown]" in text(DOCS / "how-to" / "few-labels.md")
    pages = [ROOT / "README.md", *DOCS.rglob("*.md"), *(ROOT / "plugins").rglob("README.md")]
    for path in pages:
        assert not re.search(r"adds? (anything|nothing)|added nothing|finds nothing in", text(path)), path


def test_how_long_a_training_takes():
    row = Record(RESULTS / "training_time.jsonl").rows({"backend": "cgan", "data": "torchvision:MNIST"})[-1]
    minutes = f"{row['run_processor_minutes_extrapolated']:.0f} minutes on one"
    assert row["run_steps"] == 3000
    assert f"3,000 steps on MNIST take about {minutes} CPU core" in text(ROOT / "README.md")
    page = text(DOCS / "results.md")
    assert f"{row['steps']} steps of {row['batch_size']} images, after {row['warm_up']} warm-up steps" in page
    assert f"{row['images_per_processor_second']:.0f} images per second of CPU time" in page
    assert f"3,000 steps take about {minutes} core" in page
    assert f"({row['load_before']:.0f} processes for two cores), so the wall-clock rate was" in page
    assert f"so the wall-clock rate was {row['images_per_second']:.0f} images per second" in page
    rows = Record(RESULTS / "mnist_low_label.jsonl").rows({"study": "10 a class", "phase": "test"})
    generator, classifier = (
        mean(row["seconds"] for row in rows if (row["name"] == "training cgan") == of_generator)
        for of_generator in (True, False)
    )
    assert f"A generator takes {int(generator // 60)} min {generator % 60:.0f} s to train" in page
    assert round(generator / classifier) == 6
    assert "to train, six times the classifier's time" in page


def test_how_long_a_training_on_photos_takes():
    rows = Record(RESULTS / "training_time.jsonl").rows({"data": "folder:CIFAR_ROOT", "run_steps": 10_000})
    page = text(DOCS / "how-to" / "photos.md")
    cells = {
        (row["backend"], row["shape"][1]): f"{row['run_processor_minutes_extrapolated'] / 60:.1f} hours "
        f"({row['images_per_processor_second']:.0f} images per second)"
        for row in rows
    }
    assert len(cells) == 6
    for side in (32, 64, 128):
        assert f"| {side} × {side} | {cells['cgan', side]} | {cells['r3gan', side]} |" in page
    steps = sorted(row["steps"] for row in rows)
    assert f"extrapolated from {steps[0]} to {steps[-1]} steps" in page
    ratios = [row["run_minutes_extrapolated"] / row["run_processor_minutes_extrapolated"] for row in rows]
    assert f"the clock was {min(ratios):.1f} to {max(ratios):.0f} times as long" in page
    assert {(row["device"], row["threads"], row["processors"]) for row in rows} == {("cpu", 1, 2)}


def test_how_much_detail_32_pixels_keep(capsys):
    path = DOCS / "how-to" / "photos.md"
    block = next(block for block in blocks_of(path) if "load_sample_images" in block.text)
    exec(block.text, {})
    figures = re.search(r"It prints (\d+%) and (\d+%)", text(path))
    assert tuple(ast.literal_eval(capsys.readouterr().out)) == figures.groups()


def test_the_demo_and_the_small_studies():
    record = Record(RESULTS / "small_studies.jsonl")
    demo = record.done({"study": small_studies.DEMO})["result"]
    results = closed((DOCS / "results.md").read_text(encoding="utf-8"))
    assert closed(markdown(*demo_rows(demo))) in results
    alone, beside = (
        f"above {100 * demo['differences'][name]['high']:.1f} points"
        for name in ("generated - none", "classic + generated - classic")
    )
    assert f"no gain {alone} could be shown without classic augmentation, and none {beside} on top" in " ".join(
        results.split()
    )
    helps = text(DOCS / "when-it-helps.md")
    assert f"no gain {alone} could be shown either, nor {beside} on top of classic augmentation" in helps
    own, pretrained = (report_of(*recorded(record, name)) for name in (small_studies.OWN, small_studies.PRETRAINED))
    for report in (own, pretrained):
        assert closed(small_studies.study_table(report)) in results
        assert closed(report.sentence.partition(" It costs ")[0]) in re.sub(r"\s+(> )?", " ", results)
        ratio = report.details["chosen"]["ratio"]
        for arm in (f"{report.source} {ratio:g}", f"classic + {report.source} {ratio:g}"):
            difference = paired_difference(report.scores(arm), report.scores("classic"), resolution=1 / 500)
            points = (
                f"{100 * difference.mean:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})".replace(
                    "-", "−"
                )
            )
            assert f"| {100 * mean(report.scores(arm)):.1f}% | {points}" in helps.replace("**", "")
    tutorial = closed((DOCS / "tutorial.md").read_text(encoding="utf-8"))
    assert closed(small_studies.study_table(own)) in tutorial
    assert closed(own.sentence.partition(" It costs ")[0]) in re.sub(r"\s+(> )?", " ", tutorial)
