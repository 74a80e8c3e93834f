"""Pipelines of diffusers, built from configs with random weights and saved into a folder, in about a second each."""

import json
from contextlib import contextmanager

import torch


@contextmanager
def _random_weights(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def class_conditional_unet(num_classes=10, **options):
    from diffusers import UNet2DModel

    shape = {"sample_size": 8, "in_channels": 3, "out_channels": 3, "norm_num_groups": 4}
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2, "layers_per_block": 1}
    config = {**shape, **blocks, "block_out_channels": (8, 16), "num_class_embeds": num_classes, **options}
    with _random_weights():
        return UNet2DModel(**config)


def _vae():
    from diffusers import AutoencoderKL

    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    channels = {"block_out_channels": (8, 8), "norm_num_groups": 2, "latent_channels": 4, "layers_per_block": 1}
    with _random_weights(1):
        return AutoencoderKL(in_channels=3, out_channels=3, sample_size=16, **blocks, **channels)


def dit(folder, num_classes=10):
    """A class-conditional transformer: 16 x 16 pixels from latents of 8 x 8."""
    from diffusers import DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    with _random_weights():
        transformer = DiTTransformer2DModel(
            sample_size=8,
            num_layers=2,
            patch_size=4,
            attention_head_dim=8,
            num_attention_heads=2,
            in_channels=4,
            out_channels=8,
            num_embeds_ada_norm=num_classes,
        )
        for parameter in transformer.parameters():  # a new DiT ignores its classes
            torch.nn.init.normal_(parameter, std=0.1)
    DiTPipeline(transformer, _vae(), DDIMScheduler()).save_pretrained(folder)
    return folder


def consistency(folder, num_classes=10):
    from diffusers import CMStochasticIterativeScheduler, ConsistencyModelPipeline

    scheduler = CMStochasticIterativeScheduler(num_train_timesteps=40)
    ConsistencyModelPipeline(class_conditional_unet(num_classes), scheduler).save_pretrained(folder)
    return folder


def ddim(folder, num_classes=10, **options):
    """A UNet2DModel with class embeddings, or without for ``num_classes=None``."""
    from diffusers import DDIMPipeline, DDIMScheduler

    DDIMPipeline(class_conditional_unet(num_classes, **options), DDIMScheduler()).save_pretrained(folder)
    return folder


def ddpm(folder, num_classes=10, scheduler=None, **options):
    """As ``ddim``, with any scheduler."""
    from diffusers import DDPMPipeline, DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=20) if scheduler is None else scheduler
    DDPMPipeline(class_conditional_unet(num_classes, **options), scheduler).save_pretrained(folder)
    return folder


def _tokenizer(folder):
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    merges.write_text("#version: 0.2\n")
    return CLIPTokenizer(str(vocabulary), str(merges), model_max_length=16), len(tokens)


def _text_encoder(words):
    from transformers import CLIPTextConfig, CLIPTextModel

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    ends = {"bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": words - 1}
    with _random_weights(2):
        return CLIPTextModel(CLIPTextConfig(vocab_size=words, max_position_embeddings=16, **sizes, **ends))


def _text_unet():
    from diffusers import UNet2DConditionModel

    blocks = {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (8, 16),
    }
    sizes = {"sample_size": 8, "in_channels": 4, "out_channels": 4, "layers_per_block": 1}
    with _random_weights(3):
        return UNet2DConditionModel(**sizes, **blocks, cross_attention_dim=16, attention_head_dim=4, norm_num_groups=4)


def _safety_checker():
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPVisionConfig

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    vision = CLIPVisionConfig(image_size=16, patch_size=8, projection_dim=8, **sizes)
    config = CLIPConfig(text_config={**sizes, "vocab_size": 8}, vision_config=vision.to_dict(), projection_dim=8)
    with _random_weights(4):
        checker = StableDiffusionSafetyChecker(config)
    processor = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    return checker, processor


def stable_diffusion(folder, checked=False):
    """Text to images of 16 x 16; ``checked``: with a safety checker."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    tokenizer, words = _tokenizer(folder / "words")
    checker, processor = _safety_checker() if checked else (None, None)
    StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_text_encoder(words),
        tokenizer=tokenizer,
        unet=_text_unet(),
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        safety_checker=checker,
        feature_extractor=processor,
        requires_safety_checker=checked,
    ).save_pretrained(folder)
    return folder


def stable_diffusion_xl(folder):
    """As ``stable_diffusion``, with two text encoders."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    tokenizer, words = _tokenizer(folder / "words")
    first = _text_encoder(words)
    with _random_weights(6):
        second = CLIPTextModelWithProjection(CLIPTextConfig(**{**first.config.to_dict(), "projection_dim": 16}))
        unet = UNet2DConditionModel(
            sample_size=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=1,
            projection_class_embeddings_input_dim=16 + 6 * 8,
            cross_attention_dim=32,
        )
    StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="leading"),
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


def lora(folder, seed=5):
    """LoRA weights of the rank 2 for the unet of ``stable_diffusion``."""
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict

    unet = _text_unet()
    with _random_weights(seed):
        unet.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    weights = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=weights, safe_serialization=True)
    return folder


class Pools:
    """A dataset of the images of pools, here because a spawned worker imports it."""

    def __init__(self, pools):
        self.pools = pools

    def __len__(self):
        return len(self.pools)

    def __getitem__(self, index):
        return self.pools[index].images
