#!/usr/bin/env bash
# Workers of large-scale evolution share a directory while they are killed at
# random and started again; checks that nothing is lost. Takes some minutes.
#   bash scripts/check_fleet.sh [KILLS (30)] [WORKDIR (a temporary one)]
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
[ -x "$VENV/bin/python" ] || install_extras ""
exec "$VENV/bin/python" -m scripts.check_fleet \
  --kills="${1:-30}" ${2:+--workdir="$2"}
