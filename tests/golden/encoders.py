"""Makes encoders.json: what torchvision's networks make of two images, with weights and images that follow a rule.

    pip install torch==2.13.0 torchvision numpy
    python3 tests/golden/encoders.py > tests/golden/encoders.json
"""

import json

import numpy as np
import torch
import torchvision

# The scale of each tensor, as src/encoders starts it; see `Rule` in src/encoders/tests.rs.
SMALL, ONES = (0.1, 0.0), (0.25, 0.75)


def scale(name, shape):
    root = np.sqrt
    if name.endswith("running_mean") or name == "class_token":
        return SMALL
    if name.endswith("running_var"):
        return ONES
    if name == "conv_proj.weight":
        return root(1 / 768) * root(3), 0.0
    if name == "encoder.pos_embedding":
        return 0.02 * root(3), 0.0
    if name.endswith("out_proj.weight"):
        return root(1 / shape[1]), 0.0
    if len(shape) == 4:
        return root(2 / (shape[0] * shape[2] * shape[3])) * root(3), 0.0
    if len(shape) == 2:
        return root(6 / (shape[0] + shape[1])), 0.0
    return ONES if name.endswith("weight") else SMALL


def fill(name, tensor):
    salt = 7
    for byte in name.encode():
        salt = (salt * 31 + byte) % 2**31
    index = np.arange(tensor.numel(), dtype=np.uint64)
    uniform = ((index * np.uint64(2654435761) + np.uint64(salt * 40503)) % np.uint64(2**32)) / 2**31 - 1.0
    factor, offset = scale(name, tensor.shape)
    tensor.copy_(torch.from_numpy((uniform * factor + offset).astype(np.float32)).reshape(tensor.shape))


@torch.no_grad()
def outputs(model, head):
    setattr(model, head, torch.nn.Identity())
    for name, tensor in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            fill(name, tensor)
    i = np.arange(2 * 3 * 224 * 224, dtype=np.uint64)
    images = ((i * i * np.uint64(31) + i * np.uint64(17)) % np.uint64(1009)).astype(np.float32) / np.float32(252) - 2
    result = model.eval()(torch.from_numpy(images.astype(np.float32)).reshape(2, 3, 224, 224))
    return [float(f"{value:.7g}") for value in result.flatten().tolist()]


print(json.dumps({
    "made_by": f"torch {torch.__version__}, torchvision {torchvision.__version__}",
    "resnet50": outputs(torchvision.models.resnet50(), "fc"),
    "vit_b_16": outputs(torchvision.models.vit_b_16(), "heads"),
}))
