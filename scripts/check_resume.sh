#!/usr/bin/env bash
# Kills a tiny run at random moments, resumes it each time, and checks that its
# results equal those of a run left alone, bit for bit. Takes a few minutes.
#   bash scripts/check_resume.sh [KILLS (20)] [WORKDIR (a temporary one)]
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
[ -x "$VENV/bin/python" ] || install_extras ""
# The cache in the workdir is among what a kill may damage.
unset JAX_COMPILATION_CACHE_DIR
exec "$VENV/bin/python" -m scripts.check_resume \
  --kills="${1:-20}" ${2:+--workdir="$2"}
