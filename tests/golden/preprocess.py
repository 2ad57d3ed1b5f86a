"""Makes preprocess.json: what torchvision makes of pictures that follow a rule.

    pip install torch==2.13.0 torchvision pillow numpy
    python3 tests/golden/preprocess.py > tests/golden/preprocess.json
"""

import hashlib
import json

import numpy as np
import PIL
import torchvision
from PIL import Image
from torchvision import transforms

FILTERS = {"bilinear": transforms.InterpolationMode.BILINEAR, "bicubic": transforms.InterpolationMode.BICUBIC}
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def picture(height, width, channels):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    return ((x * 7 + y * 13 + c * 29 + (x * y) % 31 * 5 + x // 9 % 2 * 90) % 256).astype(np.uint8)


def case(height, width, channels, size, resize=None, filter="bilinear"):
    pixels = picture(height, width, channels)
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    cropped = transforms.CenterCrop(size)(transforms.Resize(resize or size, FILTERS[filter])(image))
    content = np.asarray(cropped).tobytes()
    tensor = transforms.ToTensor()(cropped)
    tensor = tensor.expand(3, -1, -1).contiguous()
    values = transforms.Normalize(MEAN, DEVIATION)(tensor).numpy().astype("<f4").tobytes()
    middle = len(content) // 2
    return {
        "height": height, "width": width, "channels": channels, "size": size,
        "resize": resize or size, "filter": filter,
        "middle": list(content[middle : middle + 12]),
        "bytes_sha256": hashlib.sha256(content).hexdigest(),
        "values_sha256": hashlib.sha256(values).hexdigest(),
    }


SHAPES = [
    (28, 28, 1, 224), (28, 28, 1, 28), (28, 28, 1, 32), (32, 32, 3, 224), (32, 32, 3, 32), (37, 53, 3, 224),
    (53, 37, 3, 224), (300, 261, 3, 224), (231, 500, 1, 32), (97, 640, 3, 28), (1, 1, 1, 32), (3, 5, 3, 7),
    (224, 225, 1, 224), (227, 224, 3, 224), (1201, 900, 3, 224),
    (512, 512, 3, 224, 256, "bicubic"), (37, 53, 3, 224, 256, "bicubic"), (600, 411, 1, 224, 224, "bicubic"),
    (300, 261, 3, 224, 256, "bilinear"), (1, 3, 1, 32, 36, "bicubic"),
]
print(json.dumps({
    "made_by": f"torchvision {torchvision.__version__}, Pillow {PIL.__version__}, NumPy {np.__version__}",
    "cases": [case(*shape) for shape in SHAPES],
}, indent=1))
