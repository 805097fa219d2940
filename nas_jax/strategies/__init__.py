"""Search strategies by name; the contract tests run every one of them."""

from collections.abc import Callable

from nas_jax import base
from nas_jax.strategies import evolution
from nas_jax.strategies import nao
from nas_jax.strategies import pnas
from nas_jax.strategies import ppo
from nas_jax.strategies import q_learning
from nas_jax.strategies import random_search
from nas_jax.strategies import reinforce

STRATEGIES: dict[str, Callable[..., base.Strategy]] = {
    'random_search': random_search.random_search,
    'regularized_evolution': evolution.regularized_evolution,
    'reinforce': reinforce.reinforce,
    'ppo': ppo.ppo,
    'q_learning': q_learning.q_learning,
    'pnas': pnas.pnas,
    'nao': nao.nao,
}
