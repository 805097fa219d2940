import pytest

from nas_jax.predictors import nao_settings


def test_published_settings():
  nao_, v1, v2 = (nao_settings.SETTINGS[n]
                  for n in ('nao', 'pytorch_v1', 'pytorch_v2'))
  assert [s.trade_off for s in (nao_, v1, v2)] == [.8] * 3
  assert [s.step_sizes[:3] for s in (nao_, v1)] == [(10, 20, 30), (1, 2, 3)]
  assert [(s.embedding_size, s.hidden_size) for s in (nao_, v1, v2)] == [
      (32, 96), (48, 96), (32, 64)]
  assert [(s.weight_decay, s.batch_size, s.epochs) for s in (nao_, v1, v2)] == [
      (1e-4, 50, 1000), (1e-4, 100, 1000), (0, 100, 1000)]


def test_unknown_settings():
  with pytest.raises(ValueError, match="unknown settings 'nao2', expected one"):
    nao_settings.load('nao2')
  with pytest.raises(ValueError, match="unknown setting 'depth', expected"):
    nao_settings.load('nao', depth=3)
