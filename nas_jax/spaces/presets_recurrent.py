"""Published recurrent cells, and hand-designed ones beside them.

References:
  ENAS_RNN, DARTS_V1_RNN, DARTS_V2_RNN: quark0/darts, rnn/genotypes.py.
  ENAS_LM_RNN, DARTS_LM_RNN: google-research/enas_lm; the second is the cell of
    DARTS_V2_RNN in the numbers of that code.
  NAO_RNN, NAO_WS_RNN: renqianluo/NAO, NAO/rnn and NAO-WS/rnn, whose numbers
    mean different activations.
  NASCell: Zoph, Le, arXiv 1611.01578, appendix A, as TensorFlow's
    contrib.rnn.NASCell.
  LSTM: Zaremba et al., arXiv 1409.2329.
  Variational_RHN: Zilly et al., arXiv 1607.03474, of depth 10.
  AWD_LSTM: Merity et al., arXiv 1708.02182.
"""

from collections.abc import Mapping

from nas_jax.spaces import preset
from nas_jax.spaces import recurrent
from nas_jax.spaces import recurrent_tree

_ENAS = (('tanh', 0), ('tanh', 1), ('relu', 1), ('tanh', 3), ('tanh', 3),
         ('relu', 3), ('relu', 4), ('relu', 7), ('relu', 8), ('relu', 8),
         ('relu', 8))
_ALL = tuple(range(1, 9))

ENAS_RNN = recurrent.Chain(_ENAS, recurrent.leaves(_ENAS))
DARTS_V1_RNN = recurrent.Chain(
    (('relu', 0), ('relu', 1), ('tanh', 2), ('relu', 3), ('relu', 4),
     ('identity', 1), ('relu', 5), ('relu', 1)), _ALL)
DARTS_V2_RNN = recurrent.Chain(
    (('sigmoid', 0), ('relu', 1), ('relu', 1), ('identity', 1), ('tanh', 2),
     ('sigmoid', 5), ('tanh', 3), ('relu', 5)), _ALL)
ENAS_LM_RNN = recurrent.parse('0 2 1 0 2 1 2 2 4 0 5 0 3 2 6 2')
DARTS_LM_RNN = recurrent.parse('0 2 1 1 1 1 1 3 2 0 5 2 3 0 5 1')
NAO_RNN = recurrent.parse('0 1 0 1 1 1 3 0 4 1 4 1 5 1 1 1 7 1 1 1 1 2',
                          recurrent.NAO_ACTIVATIONS)
NAO_WS_RNN = recurrent.parse('0 1 1 1 2 2 1 2 4 1 4 1 4 1 7 1 8 2 1 0 4 1')

NAS_CELL = recurrent_tree.Tree(
    nodes=(
        ('add', 'sigmoid'), ('add', 'relu'), ('add', 'sigmoid'),
        ('elem_mult', 'relu'), ('add', 'tanh'), ('add', 'sigmoid'),
        ('add', 'tanh'), ('add', 'sigmoid'),
        ('elem_mult', 'tanh'), ('add', 'tanh'), ('elem_mult', 'tanh'),
        ('add', 'sigmoid'),
        ('elem_mult', 'identity'), ('add', 'tanh'),
        ('elem_mult', 'tanh')),
    inject=('add', 'tanh'),
    indices=(12, 8))

# The genotype of a hand-designed cell: nothing, or the depth of a step.
PRESETS: Mapping[str, preset.Preset] = {
    'DARTS_V1_RNN': preset.Preset('rnn_chain', DARTS_V1_RNN),
    'DARTS_V2_RNN': preset.Preset('rnn_chain', DARTS_V2_RNN),
    'ENAS_RNN': preset.Preset('rnn_chain', ENAS_RNN),
    'ENAS_LM_RNN': preset.Preset('rnn_chain', ENAS_LM_RNN),
    'DARTS_LM_RNN': preset.Preset('rnn_chain', DARTS_LM_RNN),
    'NAO_RNN': preset.Preset('rnn_chain', NAO_RNN),
    'NAO_WS_RNN': preset.Preset('rnn_chain', NAO_WS_RNN),
    'NASCell': preset.Preset('rnn_tree', NAS_CELL),
    'LSTM': preset.Preset('lstm', ()),
    'Variational_RHN': preset.Preset('rhn', (10,)),
    'AWD_LSTM': preset.Preset('awd_lstm', ()),
}
