"""Pipelines of diffusers as sources: tiny ones of every kind, built here and loaded from a folder."""

import json
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import tiny_pipelines as tiny
from torch.utils.data import DataLoader, TensorDataset

import genaug
from genaug.errors import InputError
from genaug.modalities.image import Image
from genaug.sources.source import Source

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")

CATS = {"classes": ["cat", "dog"], "num_inference_steps": 3}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
BUILDERS = {"dit": tiny.dit, "consistency": tiny.consistency, "ddim": tiny.ddim, "text": tiny.stable_diffusion}


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory):
    """A folder with the pipelines ``dit``, ``consistency``, ``ddim`` and ``text``, and ``lora`` for the last."""
    folder = tmp_path_factory.mktemp("pipelines")
    for name, build in {**BUILDERS, "lora": tiny.lora}.items():
        build(folder / name)
    return folder


@pytest.fixture(scope="session")
def sources(pipelines):
    def load(name, **options):
        return genaug.load(f"diffusers:{pipelines / name}", device="cpu", **options)

    text = load("text", **CATS)
    return {
        "dit": load("dit", classes=DIGITS, num_inference_steps=4),
        "consistency": load("consistency"),
        "ddim": load("ddim", num_inference_steps=4),
        "text": text,
        "image-to-image": Varied(text),
        "lora": load("text", lora=str(pipelines / "lora"), **CATS),
    }


class Varied:
    """The image-to-image half of a text pipeline as a source: gray squares, varied."""

    def __init__(self, source):
        self.source, self.spec, self.recipe = source, source.spec, source.recipe

    def sample(self, n=None, *, labels=None, seed=None):
        labels = torch.arange(n) % self.spec.num_classes if labels is None else torch.as_tensor(labels)
        images = torch.full((len(labels), 1, 20, 24), 128, dtype=torch.uint8)
        return self.source.vary(images, labels, strength=0.7, seed=seed), labels


KINDS = ("dit", "consistency", "ddim", "text", "image-to-image", "lora")
SHAPES = {"dit": (3, 16, 16), "consistency": (3, 8, 8), "ddim": (3, 8, 8)}
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_samples_fit_the_spec(sources, kind):
    source = sources[kind]
    assert isinstance(source, Source)
    assert source.spec.sample == Image(*SHAPES.get(kind, (3, 16, 16)))
    assert source.spec.num_classes == (10 if kind in SHAPES else 2)
    images, labels = source.sample(6, seed=0)
    assert (images.dtype, images.shape, images.device.type) == (torch.uint8, (6, *source.spec.shape), "cpu")
    assert (labels.dtype, labels.shape) == (torch.int64, (6,))
    assert 0 <= labels.min() <= labels.max() < source.spec.num_classes
    assert images.float().std() > 5  # no image is blank
    assert all(image.float().std() > 1 for image in images)
    chosen, same = source.sample(labels=[1, 0, 1], seed=0)
    assert same.tolist() == [1, 0, 1]
    assert chosen.shape[0] == 3


@each_kind
def test_sample_i_of_a_seed_does_not_depend_on_how_many_are_drawn(sources, kind):
    source = sources[kind]
    many, labels = source.sample(21, seed=7)  # more than a chunk of 16
    for count in (1, 5, 16, 17):
        few, first = source.sample(count, seed=7)
        assert torch.equal(few, many[:count])
        assert torch.equal(first, labels[:count])
    assert not torch.equal(source.sample(5, seed=8)[0], many[:5])
    assert len({image.numpy().tobytes() for image in many}) == 21


@each_kind
def test_the_global_random_states_are_neither_read_nor_changed(sources, kind):
    source = sources[kind]
    drawn = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
        drawn.append(source.sample(4, seed=3))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])


def test_loading_changes_no_global_random_state(pipelines):
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    genaug.load(f"diffusers:{pipelines / 'text'}", device="cpu", lora=str(pipelines / "lora"), **CATS)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]


@each_kind
def test_a_blend_of_its_images_is_read_by_forked_workers(sources, kind):
    pool = genaug.SamplePool(sources[kind], size=8)
    real = TensorDataset(torch.zeros(8, *pool.spec.shape, dtype=torch.uint8), torch.arange(8) % pool.spec.num_classes)
    real.classes = pool.spec.class_names
    mixed = genaug.MixedDataset(real, pool, ratio=0.5)
    loader = DataLoader(mixed, batch_size=8, num_workers=1, multiprocessing_context="fork")
    images = torch.cat([batch[0] for batch in loader])
    assert len(images) == len(mixed)
    assert (images.flatten(1).any(dim=1)).sum() == len(mixed) - 8  # those that aren't the real set's zeros


def test_a_worker_that_shares_no_memory_reads_pools_of_all_kinds(sources):
    pools = [genaug.SamplePool(source, size=3) for source in sources.values()]
    loader = DataLoader(tiny.Pools(pools), batch_size=None, num_workers=1, multiprocessing_context="forkserver")
    for images, pool in zip(loader, pools, strict=True):
        assert torch.equal(images, pool.images)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "image-to-image"])
def test_a_recipe_rebuilds_the_source(sources, kind):
    source = sources[kind]
    recipe = json.loads(json.dumps(source.recipe))
    assert set(recipe) == {"source", "revision", "options"}
    assert recipe["revision"] is None
    again = genaug.load(recipe["source"], revision=recipe["revision"], device="cpu", **recipe["options"])
    assert again.recipe == source.recipe
    assert again.spec == source.spec
    assert torch.equal(again.sample(3, seed=1)[0], source.sample(3, seed=1)[0])
    assert source.training == {"source": recipe["source"], "revision": None, "license": None}


@pytest.mark.parametrize("kind", sorted(BUILDERS))
def test_a_pipeline_that_diffusers_saved_again_gives_the_same_images(sources, pipelines, kind, tmp_path):
    from diffusers import DiffusionPipeline

    DiffusionPipeline.from_pretrained(pipelines / kind, use_safetensors=True).save_pretrained(tmp_path / "again")
    options = sources[kind].recipe["options"]
    again = genaug.load(f"diffusers:{tmp_path / 'again'}", device="cpu", **options)
    assert torch.equal(again.sample(3, seed=1)[0], sources[kind].sample(3, seed=1)[0])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in SHAPES or kind == "text"])
def test_the_class_decides_the_image(sources, kind):
    images, _ = sources[kind].sample(labels=[0] * 4, seed=0)
    others, _ = sources[kind].sample(labels=[1] * 4, seed=0)
    assert not torch.equal(images, others)


def test_lora_weights_change_the_images(sources, pipelines):
    plain, changed = (sources[kind].sample(4, seed=0)[0] for kind in ("text", "lora"))
    assert not torch.equal(plain, changed)
    lora = {"source": str(pipelines / "lora" / "pytorch_lora_weights.safetensors"), "scale": 0.0}
    off = genaug.load(f"diffusers:{pipelines / 'text'}", device="cpu", lora=lora, **CATS)
    assert (off.sample(4, seed=0)[0].int() - plain.int()).abs().max() <= 1


def test_image_size_resizes_with_antialiasing(pipelines, sources):
    small = genaug.load(f"diffusers:{pipelines / 'dit'}", device="cpu", num_inference_steps=4, image_size=8)
    assert small.spec.shape == (3, 8, 8)
    images, full = small.sample(4, seed=0)[0], sources["dit"].sample(4, seed=0)[0].float()
    shrunk = torch.nn.functional.interpolate(full, (8, 8), mode="bicubic", antialias=True, align_corners=False)
    assert (images.float() - shrunk.clamp(0, 255)).abs().max() <= 1.5
    assert (images.float() - full[..., ::2, ::2]).abs().max() > 10


def test_a_variation_is_nearer_to_its_image_the_lower_the_strength(pipelines):
    source = genaug.load(f"diffusers:{pipelines / 'text'}", device="cpu", classes=["cat"], num_inference_steps=10)
    images = torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    labels = torch.zeros(4, dtype=torch.int64)
    kept, low, high = (source.vary(images, labels, strength=s, seed=0) for s in (0.1, 0.3, 1.0))
    assert kept.shape == (4, 3, 16, 16)
    assert kept.dtype == torch.uint8
    distances = [(varied.float() - kept.float()).abs().mean() for varied in (low, high)]
    assert distances[0] < distances[1]
    assert torch.equal(source.vary(images[:2], labels[:2], strength=0.3, seed=0), low[:2])
    gray = source.vary(images[:2, :1], labels[:2], seed=0)
    assert torch.equal(gray, source.vary(images[:2, :1].expand(-1, 3, -1, -1), labels[:2], seed=0))


def test_of_several_prompts_of_a_class_each_is_used(pipelines):
    prompts = {"cat": ["aa", "bb"], "dog": "cc"}
    both, one = (
        genaug.load(f"diffusers:{pipelines / 'text'}", device="cpu", prompt=prompt, num_inference_steps=2)
        for prompt in (prompts, {**prompts, "cat": "aa"})
    )
    assert both.spec.class_names == ("cat", "dog")
    images, others = (source.sample(labels=[0] * 12, seed=0)[0] for source in (both, one))
    same = [torch.equal(*pair) for pair in zip(images, others, strict=True)]
    assert any(same)
    assert not all(same)


def test_a_negative_prompt_and_guidance_change_the_images(pipelines, sources):
    where = f"diffusers:{pipelines / 'text'}"
    for option in ({"negative_prompt": "bad"}, {"guidance_scale": 1.5}):
        changed = genaug.load(where, device="cpu", **CATS, **option)
        assert not torch.equal(changed.sample(4, seed=0)[0], sources["text"].sample(4, seed=0)[0])


def test_a_pipeline_without_classes_gives_images_without_labels(tmp_path):
    source = genaug.load(f"diffusers:{tiny.ddim(tmp_path / 'plain', None)}", device="cpu", num_inference_steps=2)
    images, labels = source.sample(3, seed=0)
    assert labels is None
    assert images.shape == (3, 3, 8, 8)
    assert len(genaug.SamplePool(source, size=4)) == 4


@pytest.mark.parametrize("name", ["DDPMScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler"])
def test_any_scheduler_can_denoise(name, tmp_path):
    import diffusers

    where = tiny.ddpm(tmp_path / "pipeline", scheduler=getattr(diffusers, name)(num_train_timesteps=20))
    source = genaug.load(f"diffusers:{where}", device="cpu", num_inference_steps=5)
    many, few = source.sample(18, seed=0)[0], source.sample(2, seed=0)[0]
    assert torch.equal(many[:2], few)
    assert type(source._sampler.scheduler).__name__ == name


def test_the_images_are_those_of_the_pipelines_of_diffusers(pipelines, sources):
    """At equal noise: the loop here does what diffusers' does, where diffusers' can be used."""
    from diffusers import ConsistencyModelPipeline, DiTPipeline

    from genaug_diffusers.source import derive_seed

    seeds = [derive_seed(5, "diffusers", i, 0) for i in range(16)]
    labels = [0, 3, 9] * 5 + [0]

    def generators():
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    consistency = ConsistencyModelPipeline.from_pretrained(pipelines / "consistency")
    consistency.set_progress_bar_config(disable=True)
    theirs = consistency(batch_size=16, class_labels=labels, generator=generators(), output_type="np").images
    _assert_equal(sources["consistency"].sample(labels=labels, seed=5)[0], theirs)
    dit = DiTPipeline.from_pretrained(pipelines / "dit")
    dit.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 3, "guidance_scale": 1.0}
    theirs = dit(labels, generator=generators(), output_type="np", **options).images
    ours = genaug.load(f"diffusers:{pipelines / 'dit'}", device="cpu", **options)
    _assert_equal(ours.sample(labels=labels, seed=5)[0], theirs)


def _assert_equal(images, floats):
    expected = torch.from_numpy(floats).permute(0, 3, 1, 2) * 255
    assert (images.float() - expected).abs().max() <= 0.51


def test_guidance_of_a_dit_of_1000_classes_is_that_of_diffusers(tmp_path):
    from diffusers import DiTPipeline

    from genaug_diffusers.source import derive_seed

    folder = tiny.dit(tmp_path / "imagenet", 1000)
    generators = [torch.Generator().manual_seed(derive_seed(5, "diffusers", i, 0)) for i in range(16)]
    pipeline = DiTPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    labels = list(range(0, 960, 60))
    theirs = pipeline(labels, generator=generators, num_inference_steps=3, output_type="np").images
    ours = genaug.load(f"diffusers:{folder}", device="cpu", num_inference_steps=3)
    assert ours.recipe["options"]["guidance_scale"] == 4.0
    _assert_equal(ours.sample(labels=labels, seed=5)[0], theirs)


@pytest.mark.parametrize("name", ["dit", "consistency", "ddim", "text"])
def test_half_precision_as_on_a_gpu_gives_nearly_the_same_images(pipelines, sources, name, monkeypatch):
    from genaug_diffusers import networks

    full = sources[name]
    monkeypatch.setattr(networks, "precision_for", lambda device: torch.bfloat16)
    half = genaug.load(full.recipe["source"], device="cpu", **full.recipe["options"])
    images, labels = full.sample(6, seed=0)
    assert (half.sample(6, seed=0)[0].float() - images.float()).abs().mean() < 8
    if name == "text":
        varied = half.vary(images, labels, seed=0).float()
        assert (varied - full.vary(images, labels, seed=0).float()).abs().mean() < 8
        assert half._sampler.pipeline.unet.dtype == half._sampler._editor.unet.dtype == torch.bfloat16


@pytest.mark.parametrize("variance", ["fixed_small", "learned_range"])
def test_a_learned_variance_is_used_or_left_out_as_the_scheduler_says(variance, tmp_path):
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=20, variance_type=variance)
    folder = tiny.ddpm(tmp_path / "pipeline", scheduler=scheduler, in_channels=1, out_channels=2)
    source = genaug.load(f"diffusers:{folder}", device="cpu", num_inference_steps=3)
    assert source.spec.shape == (1, 8, 8)
    assert source.sample(3, seed=0)[0].shape == (3, 1, 8, 8)


@pytest.mark.parametrize("kind", ["dit", "lora"])
def test_a_source_can_be_sent_to_another_process(sources, kind):
    sent = pickle.dumps(sources[kind])
    assert len(sent) < 10_000  # without the weights
    assert torch.equal(pickle.loads(sent).sample(2, seed=0)[0], sources[kind].sample(2, seed=0)[0])


def test_a_pipeline_with_two_text_encoders_gives_images_and_variations(tmp_path):
    source = genaug.load(f"diffusers:{tiny.stable_diffusion_xl(tmp_path / 'xl')}", device="cpu", **CATS)
    images, labels = source.sample(18, seed=0)
    assert torch.equal(source.sample(2, seed=0)[0], images[:2])
    varied = source.vary(images, labels, strength=0.7, seed=0)
    assert torch.equal(source.vary(images[:2], labels[:2], strength=0.7, seed=0), varied[:2])


def test_moving_to_a_device_keeps_the_source(sources):
    source = sources["ddim"]
    assert source.to("cpu") is source
    assert source.device == torch.device("cpu")
    with pytest.raises(InputError, match="can't be used here"):
        source.to("meta")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@each_kind
def test_a_gpu_runs_in_half_precision_and_the_cpu_in_full_again_afterwards(pipelines, sources, kind):
    if kind == "image-to-image":
        pytest.skip("the same source as text")
    source, before = sources[kind], sources[kind].sample(4, seed=0)[0]
    source.to("cuda")
    images, labels = source.sample(4, seed=0)
    assert images.device.type == labels.device.type == "cuda"
    assert (images.cpu().float() - before.float()).abs().mean() < 20
    assert torch.equal(source.to("cpu").sample(4, seed=0)[0], before)


def test_listing_plugins_does_not_import_diffusers():
    code = (
        "import sys; from genaug.backends.registry import discover; assert 'diffusers' in discover().sources; "
        "assert not {'diffusers', 'torch', 'genaug_diffusers.load'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_command_line_samples_a_pipeline(pipelines, tmp_path):
    from typer.testing import CliRunner

    from genaug.cli import app

    command = ["sample", f"diffusers:{pipelines / 'consistency'}", "--per-class", "2", "--out", str(tmp_path / "made")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "made").rglob("*.png"))) == 20


def test_nothing_is_printed_or_logged(sources, capfd):
    for kind in KINDS:
        sources[kind].sample(2, seed=0)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_long_work_reports_progress(sources, monkeypatch, capsys):
    from genaug_diffusers import source as module

    monkeypatch.setattr(module, "_LONG", 0.0)
    progress = module.Progress
    monkeypatch.setattr(module, "Progress", lambda title, total, line_every: progress(title, total, line_every=0))
    sources["consistency"].sample(48, seed=0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "left" in lines[0]
    assert "48 of 48 images" in lines[-1]
