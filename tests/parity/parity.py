#!/usr/bin/env python3
"""References for the encoders: checkpoints as their authors save them, inputs, and what torchvision and timm compute.

    python3 parity.py OUT [--only CASE ...] [--seed 1] [--list]

For each case a folder OUT/CASE with
    checkpoint.pth           the author's nesting, names, prefixes and extra entries; weights from a rule and the seed
    checkpoint.safetensors   the same tensors under the same names, only where the file is flat
    layout.json              file, nesting, prefix, and every tensor's name, shape and kind
    layers.safetensors       what leaves each layer, for the first photograph and the first random tensor (2 x ...)
    outputs.npy              the embeddings of all inputs, 6 x d
and once OUT/inputs.npy, 6 x 3 x 224 x 224: four photographs of scikit-image, preprocessed, and two random tensors; and
OUT/golden.json, small enough to commit: of each case the seed and 64 values of the embedding of the first random tensor.
The networks are torchvision's for ResNet-50 and ViT-B/16, and timm's for all ViTs with other names; where the study
(scottclowe/zs-ssl-clustering) wraps them, `load` does what its loader does. Nothing is downloaded.

    pip install torch==2.13.0 torchvision timm numpy pillow safetensors
    pip install --no-deps scikit-image
"""

import argparse
import contextlib
import importlib.util
import json
from collections import OrderedDict
from pathlib import Path
from unittest import mock

import classify
import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import transforms

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PHOTOGRAPHS = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"]
# Inputs whose layers are kept: the first photograph and the first random tensor.
LAYERS_OF = [0, len(PHOTOGRAPHS)]
# Parts that every loader drops may be narrow: only their names count.
NARROW = 8


# ---- weights by a rule: splitmix64 of a counter, so that a few lines of any language make the same numbers ----


def numbers(seed, name, count):
    """`count` numbers in [-1, 1): splitmix64(FNV-1a(name) + seed + i), the upper 24 bits."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = (key ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = (np.arange(count, dtype=np.uint64) + np.uint64((key + seed) % 2**64)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)


def scale(name, shape):
    """Factor and offset that keep every kind of tensor far from what it starts as. What is added to a ViT's tokens is kept
    near 0.05, so that the epsilon of the layer norms counts: 1e-5 for 1e-6 changes the result by 1e-3."""
    if name.endswith("running_var"):
        return 0.25, 0.75
    if name.endswith("running_mean"):
        return 0.1, 0.0
    if "gamma" in name:
        return 0.3, 0.5
    if any(part in name for part in ("pos_embed", "cls_token", "class_token", "mask_token")):
        return 0.05, 0.0
    adds = any(part in name for part in ("patch_embed", "conv_proj", "attn.proj", "out_proj", "mlp.fc2", "mlp.3"))
    share = 0.05 if adds else 1.0
    if len(shape) == 4 and shape[1] == 1:
        return (6 / (shape[2] * shape[3])) ** 0.5, 0.0
    if len(shape) == 4:
        return share * (3 / (shape[1] * shape[2] * shape[3]) if adds else 6 / (shape[0] * shape[2] * shape[3])) ** 0.5, 0.0
    if len(shape) == 2:
        return share * (6 / sum(shape)) ** 0.5, 0.0
    return (0.25, 0.75) if name.endswith("weight") else (0.1 * share, 0.0)


def fill(model, seed):
    """The model's own state dict with values by the rule; the counters of batches stay, as they have another kind."""
    state = model.state_dict()
    for name, tensor in state.items():
        if tensor.dtype == torch.float32:
            factor, offset = scale(name, tensor.shape)
            values = numbers(seed, name, tensor.numel()) * np.float32(factor) + np.float32(offset)
            tensor.copy_(torch.from_numpy(values).reshape(tensor.shape))
        else:
            tensor.fill_(1000)
    return dict(state)


# ---- parts that are saved beside the encoder and dropped by its loaders ----


def mlp(widths, last_norm):
    """MoCo-v3's projectors and predictors (moco/builder.py, `_build_mlp`): the last norm has no weights."""
    layers = []
    for index, (width, following) in enumerate(zip(widths, widths[1:])):
        layers.append(nn.Linear(width, following, bias=False))
        if index + 2 < len(widths):
            layers += [nn.BatchNorm1d(following), nn.ReLU()]
        elif last_norm:
            layers.append(nn.BatchNorm1d(following, affine=False))
    return nn.Sequential(*layers)


def dino_head(width):
    """DINO's (vision_transformer.py, `DINOHead`), by names: weight_norm of torch < 2 writes weight_g and weight_v."""
    layers = nn.Sequential(nn.Linear(width, NARROW), nn.GELU(), nn.Linear(NARROW, NARROW), nn.GELU(), nn.Linear(NARROW, NARROW))
    last = {"last_layer.weight_g": torch.ones(NARROW, 1), "last_layer.weight_v": torch.ones(NARROW, NARROW)}
    return {**{f"mlp.{name}": tensor for name, tensor in layers.state_dict().items()}, **last}


def vicreg_projector():
    """VICReg's (main_vicreg.py, `Projector`)."""
    n = NARROW
    return nn.Sequential(
        nn.Linear(2048, n),
        nn.BatchNorm1d(n),
        nn.ReLU(),
        nn.Linear(n, n),
        nn.BatchNorm1d(n),
        nn.ReLU(),
        nn.Linear(n, n, bias=False),
    )


def mae_decoder():
    """MAE's decoder (models_mae.py) and mask token, by names; one block stands for eight."""
    block = timm.models.vision_transformer.Block(NARROW, 1, qkv_bias=True)
    state = {"mask_token": torch.zeros(1, 1, NARROW), "decoder_pos_embed": torch.zeros(1, 197, NARROW)}
    parts = {
        "decoder_embed": nn.Linear(768, NARROW),
        "decoder_blocks.0": block,
        "decoder_norm": nn.LayerNorm(NARROW),
        "decoder_pred": nn.Linear(NARROW, 768),
    }
    return state | {f"{part}.{name}": tensor for part, module in parts.items() for name, tensor in module.state_dict().items()}


def with_prefix(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def optimizer(count):
    """AdamW's state as torch saves it, with small tensors: keys are numbers, not names."""
    state = {index: {"step": 7, "exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2)} for index in range(count)}
    return {
        "state": state,
        "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.05, "params": list(range(count))}],
    }


SCALER = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000, "_growth_tracker": 5}


def arguments_of_training():
    """An argparse.Namespace in the pickle: what a reader of tensors must step over."""
    return argparse.Namespace(model="vit_base_patch16", lr=None, blr=1e-3, epochs=50, output_dir="./output_dir", distributed=True)


# ---- networks ----


def resnet50():
    model = torchvision.models.resnet50()
    model.fc = nn.Identity()
    return model


def vit_b_16():
    model = torchvision.models.vit_b_16()
    model.heads = nn.Identity()
    return model


def timm_vit(**options):
    """timm's ViT-B/16 with layer norms of 1e-6, as MoCo-v3, DINO and MAE build theirs."""
    options = {"num_classes": 0, "global_pool": "token", **options}
    model = timm.create_model("vit_base_patch16_224", pretrained=False, **options)
    assert all(module.eps == 1e-6 for module in model.modules() if isinstance(module, nn.LayerNorm))
    return model


def dinov2_vits14():
    """At 224 pixels: timm would resize the positions otherwise than the authors do, so `dinov2` hands them over resized."""
    return timm.create_model("vit_small_patch14_dinov2", pretrained=False, num_classes=0, img_size=224)


# ---- cases: seed -> what is saved, network, its state dict ----


def torchvision_resnet(seed):
    model = torchvision.models.resnet50()
    state = fill(model, seed)
    model.fc = nn.Identity()
    return state, model, without(state, "fc.")


def torchvision_vit(seed):
    """vit_b_16-c867db91.pth is older than torchvision's `MLP`: it says mlp.linear_1 and mlp.linear_2 (vision PR 6053)."""
    model = torchvision.models.vit_b_16()
    state = fill(model, seed)
    saved = {name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor for name, tensor in state.items()}
    model.heads = nn.Identity()
    return saved, model, without(state, "heads.")


def torchvision_vit_now(seed):
    """The names that torchvision writes today: mlp.0 and mlp.3."""
    saved, model, state = torchvision_vit(seed)
    return (
        {name.replace("mlp.linear_1.", "mlp.0.").replace("mlp.linear_2.", "mlp.3."): tensor for name, tensor in saved.items()},
        model,
        state,
    )


def moco(model, head, width, seed):
    """main_moco.py, `save_checkpoint`: base and momentum encoder, each with its projector, and the predictor, under DDP."""
    state = fill(model, seed)
    other = {name: tensor + 0.5 for name, tensor in state.items()}
    widths = [width, NARROW, 4] if head == "fc" else [width, NARROW, NARROW, 4]
    projector, predictor = mlp(widths, True), mlp([4, NARROW, 4], head == "head")
    everything = {
        **with_prefix("module.base_encoder.", state | with_prefix(f"{head}.", projector.state_dict())),
        **with_prefix("module.momentum_encoder.", other | with_prefix(f"{head}.", projector.state_dict())),
        **with_prefix("module.predictor.", predictor.state_dict()),
    }
    # vit-b-300ep.pth.tar has no "scaler" (facebookresearch/vissl issue 545), although the code of today writes one.
    start = {"epoch": 1000, "arch": "resnet50"} if head == "fc" else {"epoch": 300, "arch": "vit_base"}
    return {**start, "state_dict": everything, "optimizer": optimizer(3)}, model, state


def moco_resnet(seed):
    return moco(resnet50(), "fc", 2048, seed)


def moco_vit(seed):
    return moco(timm_vit(), "head", 768, seed)


def dino_resnet(seed):
    """The backbone alone, without `fc`: utils.load_pretrained_weights loads it strictly into one whose fc is Identity."""
    model = resnet50()
    state = fill(model, seed)
    return state, model, state


def dino_vit(seed):
    model = timm_vit()
    state = fill(model, seed)
    return state, model, state


def dino_resnet_full(seed):
    """main_dino.py's checkpoint.pth; the teacher of a network with batch norms is under DDP, that of a ViT is not."""
    model = resnet50()
    state = fill(model, seed)
    student = with_prefix("module.backbone.", {name: tensor + 0.5 for name, tensor in state.items()}) | with_prefix(
        "module.head.", dino_head(2048)
    )
    teacher = with_prefix("module.backbone.", state) | with_prefix("module.head.", dino_head(2048))
    saved = {"student": student, "teacher": teacher, "optimizer": optimizer(2), "epoch": 800, "args": arguments_of_training(),
             "dino_loss": {"center": torch.zeros(1, NARROW)}, "fp16_scaler": SCALER}  # fmt: skip
    return saved, model, state


def dino_vit_full(seed):
    model = timm_vit()
    state = fill(model, seed)
    student = with_prefix("module.backbone.", {"norm.weight": state["norm.weight"] + 0.5}) | with_prefix(
        "module.head.", dino_head(768)
    )
    teacher = with_prefix("backbone.", state) | with_prefix("head.", dino_head(768))
    saved = {"student": student, "teacher": teacher, "optimizer": optimizer(2), "epoch": 400, "args": arguments_of_training(),
             "dino_loss": {"center": torch.zeros(1, NARROW)}}  # fmt: skip
    return saved, model, state


def vicreg(seed):
    """main_vicreg.py saves `backbone.state_dict()`: no fc, names as torchvision's (its pad of 1 + 2 is torchvision's 3)."""
    return dino_resnet(seed)


def vicreg_full(seed):
    model = resnet50()
    state = fill(model, seed)
    everything = with_prefix("module.backbone.", state) | with_prefix("module.projector.", vicreg_projector().state_dict())
    return {"epoch": 1000, "model": everything, "optimizer": optimizer(2)}, model, state


def timm_mae(seed):
    """What timm's hub holds: the encoder with its last norm; the class token after that norm."""
    return dino_vit(seed)


def mae_pretrained_global(seed, extra=False):
    """The file holds the encoder (facebookresearch/mae issue 3); the study's loader pools the patches and leaves fc_norm as it
    starts (weight 1, bias 0), so that `norm.*` is not used."""
    saved = fill(timm_vit(), seed)
    model = timm_vit(global_pool="avg")
    start = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("fc_norm.")}
    assert torch.all(start["fc_norm.weight"] == 1) and torch.all(start["fc_norm.bias"] == 0)
    more = {"optimizer": optimizer(3), "epoch": 1599, "scaler": SCALER, "args": arguments_of_training()} if extra else {}
    everything = saved | mae_decoder() if extra else saved
    return {"model": everything, **more}, model, without(saved, "norm.") | start


def mae_full_global(seed):
    """mae_pretrain_vit_base_full.pth, or what util/misc.py `save_model` writes: with decoder, optimizer and arguments."""
    return mae_pretrained_global(seed, extra=True)


def mae_finetuned_global(seed):
    """models_vit.py with global_pool: fc_norm in the place of norm."""
    model = timm_vit(global_pool="avg", num_classes=1000)
    state = fill(model, seed)
    model.reset_classifier(0, "avg")
    return {"model": state}, model, without(state, "head.")


def finetuned(saved, model, state):
    """The study's util/misc.py `save_model`."""
    return (
        {"model": saved, "optimizer": optimizer(3), "epoch": 49, "scaler": SCALER, "args": arguments_of_training()},
        model,
        state,
    )


def finetuned_resnet(seed):
    return finetuned(*torchvision_resnet(seed))


def finetuned_vicreg(seed):
    """`nn.Sequential(backbone, head)`: the loader strips `0.` and drops `1.`."""
    saved, model, state = torchvision_resnet(seed)
    saved = with_prefix("0.", without(saved, "fc.")) | {"1.weight": saved["fc.weight"], "1.bias": saved["fc.bias"]}
    return finetuned(saved, model, state)


def finetuned_vit(seed):
    model = timm_vit(num_classes=1000)
    state = fill(model, seed)
    model.reset_classifier(0)
    return finetuned(state, model, without(state, "head."))


def dinov2(seed):
    """dinov2_vits14_pretrain.pth: 1 + 37 x 37 positions and a mask token. At 224 pixels the authors resize the positions
    by 16.1 / 37, bicubic without antialiasing (`interpolate_pos_encoding`, offset 0.1)."""
    model = dinov2_vits14()
    sizes = {
        **{name: tensor.shape for name, tensor in model.state_dict().items()},
        "pos_embed": (1, 1370, 384),
        "mask_token": (1, 384),
    }
    saved = {}
    for name, size in sizes.items():
        factor, offset = scale(name, size)
        values = numbers(seed, name, int(np.prod(size))) * np.float32(factor) + np.float32(offset)
        saved[name] = torch.from_numpy(values).reshape(size)
    positions = saved["pos_embed"][:, 1:].reshape(1, 37, 37, 384).permute(0, 3, 1, 2)
    positions = (
        nn.functional.interpolate(positions, scale_factor=16.1 / 37, mode="bicubic").permute(0, 2, 3, 1).reshape(1, 256, 384)
    )
    return saved, model, without(saved, "mask_token") | {"pos_embed": torch.cat([saved["pos_embed"][:, :1], positions], dim=1)}


class Pooled(nn.Module):
    """torchvision's SqueezeNet up to its classifier, and the mean over the image."""

    def __init__(self):
        super().__init__()
        self.features = torchvision.models.squeezenet1_1().features

    def forward(self, images):
        return self.features(images).mean(dim=(2, 3))


def squeezenet(seed):
    model = Pooled()
    state = fill(model, seed)
    return state, model, state


class Lite0(nn.Module):
    """classify.py's EfficientNet-Lite0 with weights by the rule; it takes pixels, so its first step is undone."""

    def __init__(self, seed):
        super().__init__()
        self.state, self.layers = {}, {}
        self.convolution(seed, "_conv_stem", "_bn0", [32, 3, 3, 3])
        number, channels = 0, 32
        for repeats, kernel, _stride, expansion, outer in classify.BLOCKS:
            for _ in range(repeats):
                name, inner = f"_blocks.{number}", channels * expansion
                if expansion > 1:
                    self.convolution(seed, f"{name}._expand_conv", f"{name}._bn0", [inner, channels, 1, 1])
                self.convolution(seed, f"{name}._depthwise_conv", f"{name}._bn1", [inner, 1, kernel, kernel])
                self.convolution(seed, f"{name}._project_conv", f"{name}._bn2", [outer, inner, 1, 1])
                number, channels = number + 1, outer
        self.convolution(seed, "_conv_head", "_bn1", [1280, channels, 1, 1])
        self.state |= {"_fc.weight": torch.zeros(2, 1280), "_fc.bias": torch.zeros(2)}

    def convolution(self, seed, name, norm, shape):
        parts = {f"{name}.weight": shape, **{f"{norm}.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")}}
        for part, size in parts.items():
            factor, offset = scale(part, size)
            values = numbers(seed, part, int(np.prod(size))) * np.float32(factor) + np.float32(offset)
            self.state[part] = torch.from_numpy(values).reshape(size)

    def forward(self, images):
        layers = {}
        embedding, _logits = classify.EfficientNetLite0(self.state)(images * 128 + 127, layers)
        self.layers.update({name: layer[LAYERS_OF] for name, layer in layers.items() if name != "head"})
        return embedding


def efficientnet(seed):
    model = Lite0(seed)
    return model.state, model, {}


CASES = {
    "resnet50": torchvision_resnet, "mocov3_resnet50": moco_resnet, "dino_resnet50": dino_resnet,
    "dino_resnet50_full": dino_resnet_full, "vicreg_resnet50": vicreg, "vicreg_resnet50_full": vicreg_full,
    "ft_mocov3_resnet50": finetuned_resnet, "ft_dino_resnet50": finetuned_resnet, "ft_vicreg_resnet50": finetuned_vicreg,
    "vitb16": torchvision_vit, "vitb16_now": torchvision_vit_now, "mocov3_vit_base": moco_vit, "dino_vitb16": dino_vit,
    "dino_vitb16_full": dino_vit_full, "timm_vit_base_patch16_224.mae": timm_mae,
    "mae_pretrain_vit_base_global": mae_pretrained_global, "mae_pretrain_vit_base_full_global": mae_full_global,
    "mae_finetuned_vit_base_global": mae_finetuned_global, "ft_mocov3_vit_base": finetuned_vit, "ft_dino_vitb16": finetuned_vit,
    "dinov2_vits14": dinov2, "squeezenet1_1": squeezenet, "efficientnet_lite0": efficientnet,
}  # fmt: skip
# Saved as torch did before 1.6, one stream of pickles and not a zip file; some of the authors' files may be so.
LEGACY = {"dino_resnet50"}
# Saved from a GPU, as training does: every storage says cuda:0, which a reader must not need.
FROM_GPU = {"mocov3_resnet50", "mocov3_vit_base"}


def as_saved(value):
    """Dictionaries of tensors as `state_dict()` makes them: an OrderedDict with an attribute, which pickle writes too."""
    if not isinstance(value, dict):
        return value
    if value and all(isinstance(inner, torch.Tensor) for inner in value.values()):
        state = OrderedDict(value)
        state._metadata = OrderedDict([("", {"version": 1})])
        return state
    return {key: as_saved(inner) for key, inner in value.items()}


def without(state, prefix):
    return {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}


# ---- inputs, layers, files ----


def inputs(seed):
    preprocess = transforms.Compose(
        [transforms.Resize(224), transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(MEAN, DEVIATION)]
    )
    folder = Path(importlib.util.find_spec("skimage").submodule_search_locations[0]) / "data"
    photographs = [preprocess(Image.open(folder / name).convert("RGB")) for name in PHOTOGRAPHS]
    noise = [torch.from_numpy(numbers(seed, f"input {i}", 3 * 224 * 224) * np.float32(2)).reshape(3, 224, 224) for i in range(2)]
    return torch.stack(photographs + noise)


def watch(model, layers):
    """Keeps what leaves each layer, under names that do not depend on the library."""

    def keep(name):
        def hook(_module, _inputs, output):
            layers[name] = output[LAYERS_OF].contiguous()

        return hook

    if hasattr(model, "layer1"):
        model.maxpool.register_forward_hook(keep("stem"))
        for stage in range(1, 5):
            for index, block in enumerate(getattr(model, f"layer{stage}")):
                block.register_forward_hook(keep(f"layer{stage}.{index}"))
        return
    if isinstance(model, Lite0):
        model.layers = layers
        return
    if isinstance(model, Pooled):
        for number in (1, 3, 4, 6, 7, 9, 10, 11, 12):
            model.features[number].register_forward_hook(keep(f"features.{number}"))
        return
    is_torchvision = hasattr(model, "encoder")
    blocks = list(model.encoder.layers if is_torchvision else model.blocks)
    norm = model.encoder.ln if is_torchvision else model.norm
    blocks[0].register_forward_pre_hook(lambda _module, values: layers.__setitem__("tokens", values[0][LAYERS_OF].contiguous()))
    for index, block in enumerate(blocks):
        block.register_forward_hook(keep(f"blocks.{index}"))
    if isinstance(norm, nn.LayerNorm):
        norm.register_forward_hook(keep("norm"))


def layout(saved):
    """Where the tensors lie in the file: every path of keys that leads to one, with its shape and kind."""
    rows = []

    def walk(path, value):
        if isinstance(value, torch.Tensor):
            rows.append({"path": path, "shape": list(value.shape), "kind": str(value.dtype).removeprefix("torch.")})
        elif isinstance(value, dict):
            for key, inner in value.items():
                walk([*path, key], inner)

    walk([], saved)
    return rows


@torch.no_grad()
def make(case, seed, folder, images):
    # Only the parts that every loader drops are left as torch draws them.
    torch.manual_seed(seed)
    saved, model, state = CASES[case](seed)
    model.load_state_dict(state, strict=True)
    layers = {}
    watch(model.eval(), layers)
    outputs = model(images)
    folder.mkdir(parents=True, exist_ok=True)
    on_gpu = mock.patch("torch.serialization.location_tag", lambda _storage: "cuda:0")
    with on_gpu if case in FROM_GPU else contextlib.nullcontext():
        torch.save(as_saved(saved), folder / "checkpoint.pth", _use_new_zipfile_serialization=case not in LEGACY)
    if all(isinstance(value, torch.Tensor) for value in saved.values()):
        save_file({name: tensor.contiguous() for name, tensor in saved.items()}, folder / "checkpoint.safetensors")
    save_file(layers, folder / "layers.safetensors")
    np.save(folder / "outputs.npy", outputs.numpy())
    made_by = f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}"
    (folder / "layout.json").write_text(
        json.dumps({"case": case, "seed": seed, "made_by": made_by, "tensors": layout(saved)}) + "\n"
    )
    spread = outputs.std(dim=0).mean().item()
    print(
        f"{case}: {tuple(outputs.shape)}, mean square {outputs.square().mean():.3g}, between images {spread:.3g}, {len(layers)} layers",
        flush=True,
    )
    assert torch.isfinite(outputs).all() and spread > 1e-3, "weights that say nothing"
    return golden(seed, outputs[len(PHOTOGRAPHS)], {name: layer[1] for name, layer in layers.items() if name != "norm"})


def golden(seed, output, layers):
    """64 of the values of the first random tensor's embedding, and 8 of what leaves each layer: what is committed."""
    some = lambda values, count: [float(f"{value:.7g}") for value in values.flatten()[:: values.numel() // count].tolist()]
    largest = lambda values: float(f"{values.abs().max().item():.7g}")
    rows = [{"largest": largest(layer), "values": some(layer, 8)} for layer in layers.values()]
    return {"seed": seed, "columns": len(output), "largest": largest(output), "values": some(output, 64), "layers": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=Path("parity"))
    parser.add_argument("--only", nargs="+", metavar="CASE", choices=list(CASES), help="make these alone")
    parser.add_argument("--seed", type=int, default=1, help="of the weights; case n takes SEED + n")
    parser.add_argument("--list", action="store_true", help="print the cases")
    arguments = parser.parse_args()
    if arguments.list:
        return print("\n".join(CASES))
    arguments.out.mkdir(parents=True, exist_ok=True)
    images = inputs(arguments.seed)
    np.save(arguments.out / "inputs.npy", images.numpy())
    cases = {}
    for index, case in enumerate(CASES):
        if not arguments.only or case in arguments.only:
            cases[case] = make(case, arguments.seed + index, arguments.out / case, images)
    if not arguments.only:
        made_by = f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}"
        (arguments.out / "encoders.json").write_text(json.dumps({"made_by": made_by, "cases": cases}) + "\n")
        rows = [row for case in CASES for row in [f"= {case}", *names(arguments.out / case)]]
        (arguments.out / "layouts.txt").write_text("\n".join(rows) + "\n")


def names(folder):
    """The path of each tensor of a checkpoint and its shape, a line each."""
    tensors = json.loads((folder / "layout.json").read_text())["tensors"]
    return [".".join(map(str, row["path"])) + " " + "x".join(map(str, row["shape"])) for row in tensors]


if __name__ == "__main__":
    main()
