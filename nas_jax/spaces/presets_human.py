"""Networks designed by hand that tables of searched ones are compared with.

Genotypes are the numbers after the name in the papers: depth first.

References: see networks/resnets.py, densenets.py, pyramidnets.py,
shake_shake.py, imagenet_baselines.py.
"""

from collections.abc import Mapping

from nas_jax.spaces.preset import Preset

PRESETS: Mapping[str, Preset] = {
    # CIFAR. 6 n + 2 layers; 'A': shortcuts without parameters, 'B': 1x1
    # convolutions where the shape changes.
    **{f'ResNet-{depth}': Preset('resnet', (depth, 'A'))
       for depth in (20, 32, 44, 56, 110, 1202)},
    'ResNet-110-B': Preset('resnet', (110, 'B')),
    **{f'PreActResNet-{depth}': Preset('preact_resnet', (depth,))
       for depth in (164, 1001)},
    # Depth, times as wide.
    **{f'WRN-{depth}-{factor}': Preset('wide_resnet', (depth, factor))
       for depth, factor in ((16, 8), (28, 10), (40, 10))},
    # Depth, growth.
    **{f'DenseNet-{depth}-{growth}': Preset('densenet', (depth, growth))
       for depth, growth in ((40, 12), (100, 12), (100, 24))},
    **{f'DenseNet-BC-{depth}-{growth}': Preset('densenet_bc', (depth, growth))
       for depth, growth in ((100, 12), (250, 24), (190, 40))},
    # Depth, groups, their width.
    **{f'ResNeXt-29-{groups}x64d': Preset('resnext', (29, groups, 64))
       for groups in (8, 16)},
    # Depth, added channels.
    **{f'PyramidNet-110-{alpha}': Preset('pyramidnet', (110, alpha))
       for alpha in (48, 84, 270)},
    **{f'PyramidNet-{depth}-{alpha}': Preset(
        'pyramidnet_bottleneck', (depth, alpha))
       for depth, alpha in ((164, 270), (200, 240), (236, 220), (272, 200))},
    # Depth, width of a branch.
    **{f'Shake-Shake-26-2x{width}d': Preset('shake_shake', (26, width))
       for width in (32, 64, 96)},
    # ImageNet. Blocks of each stage.
    'ResNet-50': Preset('resnet_imagenet', (3, 4, 6, 3)),
    'ResNet-101': Preset('resnet_imagenet', (3, 4, 23, 3)),
    'ResNet-152': Preset('resnet_imagenet', (3, 8, 36, 3)),
    # Blocks of the middle flow.
    'Xception': Preset('xception', (8,)),
    # Layers at 14 x 14 pixels between the two that halve the image.
    'MobileNet-224': Preset('mobilenet', (5,)),
}
