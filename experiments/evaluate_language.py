r"""Tests a trained language model on a text of its vocabulary.

The model is that of a finished training or search on text. The text is read as
in the training, with its limit of the vocabulary, but all of the part.

  python -m experiments.evaluate_language --model=runs/darts_ptb --data_dir=DIR
"""

import dataclasses
import math

from experiments import flags
from nas_jax import checks
from nas_jax import language_training
from nas_jax.data import text


@dataclasses.dataclass(frozen=True)
class Settings:
  """What is tested on what."""
  model: str | None = None  # folder of the training
  dataset: str | None = None  # unset, what the model was trained on
  data_dir: str | None = None  # folder of the files of the corpus
  seed: int = 0  # of the sentences of the grammar
  part: str = 'test'  # test or validation
  batch_size: int = 1  # streams that the text is cut into; 1 is exact

  def __post_init__(self):
    checks.one_of('part', self.part, ('test', 'validation'))
    checks.at_least(self, 1, 'batch_size')
    if not self.model:
      raise ValueError('--model is not set: name the folder of a finished '
                       'training on text')


def main(settings: Settings) -> float:
  trained = language_training.load(settings.model)
  config = trained.config
  corpus = text.load(
      settings.dataset or config['dataset'], settings.data_dir,
      unit=config['unit'], seed=settings.seed,
      max_vocabulary=config.get('max_vocabulary'))
  found = language_training.evaluate(
      trained, corpus, settings.part, settings.batch_size)
  bits = f', {math.log2(found):.4f} bits per character' if (
      corpus.unit == 'character') else ''
  print(f'{settings.model} on the {settings.part} part of {corpus.name}: '
        f'perplexity {found:.4f}{bits}')
  return found


if __name__ == '__main__':
  flags.run_script(main, Settings)
