#!/usr/bin/env bash
# Searches cells on handwritten digits with DARTS, beside random cells; retrains
# and tests the best. Arguments go to the experiment.
#   bash scripts/quickstart.sh [--workdir=DIR] [--seed=N] ...
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_extras "${NAS_JAX_EXTRAS:-}"
exec "$VENV/bin/python" -m experiments.darts_cnn --workdir=runs/quickstart "$@"
