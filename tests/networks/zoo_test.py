import pytest

from nas_jax.networks import zoo


# Decay and epsilon of batch norm, padding, initial weights, dropout before the
# classifier.
@pytest.mark.parametrize('family, network, expected', [
    ('darts', 'cifar', (.9, 1e-5, 'symmetric', 'torch', 1.)),
    ('darts', 'imagenet', (.9, 1e-5, 'symmetric', 'torch', 1.)),
    ('nasnet', 'cifar', (.9, 1e-5, 'same', 'fan_out', 1.)),
    ('nasnet', 'imagenet', (.9997, 1e-3, 'same', 'fan_out', .5)),
    ('amoebanet', 'imagenet_large', (.9997, 1e-3, 'same', 'fan_out', .5)),
    ('pnasnet', 'imagenet', (.9997, 1e-3, 'same', 'fan_out', .5)),
    ('nao', 'cifar', (.9, 1e-5, 'same', 'unit_fan_out', .6)),
    ('nao_pytorch', 'cifar', (.9, 1e-5, 'symmetric', 'he_fan_in', .6)),
    ('nao_ws', 'cifar', (.9, 1e-5, 'same', 'fan_in', .8)),
    ('enas_micro', 'cifar', (.9, 1e-5, 'same', 'fan_in', .8)),
    ('enas_macro', 'cifar', (.9, 1e-5, 'same', 'fan_in', .5)),
    ('autodl', 'cifar', (.9, 1e-3, 'same', 'cut_fan_in', .5)),
    ('nasbench101', 'cifar', (.997, 1e-5, 'same', 'lecun', 1.)),
    ('nasbench201', 'cifar', (.9, 1e-5, 'symmetric', 'torch', 1.)),
    ('nats_size', 'cifar', (.9, 1e-5, 'symmetric', 'torch', 1.)),
])
def test_settings_of_the_published_codes(family, network, expected):
  defaults = zoo.FAMILIES[family].defaults[network]
  style = defaults.style
  assert (style.momentum, style.epsilon, style.padding, style.initializer,
          defaults.dropout_keep) == expected
