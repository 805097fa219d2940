"""Installs nas_jax; the extras choose the accelerator and optional readers."""

import pathlib

import setuptools

_REQUIRED = [
    'absl-py>=2.1',
    'chex>=0.1.90',
    'flatbuffers>=24.3',
    'flax>=0.12',
    'jax>=0.10',
    'numpy>=2.0',
    'optax>=0.2.5',
    'pillow>=10.1',
    'scikit-learn>=1.5',
    'scipy>=1.13',
    'tensorboardX>=2.6',
    'tqdm>=4.66',
]
_PNG = ['resvg-py>=0.5']
_TFDS = ['array_record>=0.8', 'tensorflow-datasets>=4.9.7']

setuptools.setup(
    name='nas_jax',
    version='0.1.0',
    description='Neural architecture search in JAX',
    long_description=(
        pathlib.Path(__file__).parent / 'README.md').read_text('utf-8'),
    long_description_content_type='text/markdown',
    packages=setuptools.find_packages(include=['nas_jax*', 'experiments*']),
    python_requires='>=3.11',
    install_requires=_REQUIRED,
    extras_require={
        'cuda': ['jax[cuda13]>=0.10'],
        'tpu': ['jax[tpu]>=0.10'],
        'tfds': _TFDS,
        # Drawings as PNG files; SVG files need nothing.
        'png': _PNG,
        # Only to prepare a data set of tensorflow-datasets.
        'tfds-prepare': [*_TFDS, 'tensorflow', 'importlib_resources'],
        'test': ['pytest>=8.0', 'pytest-xdist>=3.6', *_TFDS, *_PNG],
    },
)
