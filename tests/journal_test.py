import numpy as np
import pytest

from nas_jax import journal


def test_an_earlier_state_can_be_had_while_it_is_kept(tmp_path):
  log = journal.Journal(tmp_path, 'step', 2, 3)
  log.resume(np.float32(0))
  for done in range(1, 9):
    log.commit(done, np.float32(done * 10), [{'step': done - 1}], last=False)
  assert journal.at(tmp_path, 6, np.float32(0)) == 60
  # Every second is written, and the last three are kept.
  for done in (2, 7):
    with pytest.raises(ValueError, match=(
        rf'no checkpoint after {done}, only after \[4, 6, 8\]')):
      journal.at(tmp_path, done, np.float32(0))
