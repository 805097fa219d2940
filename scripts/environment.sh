# Sourced: makes .venv once and installs the package with the extras in $1.
# PYTHON chooses the interpreter, NAS_JAX_VENV another place for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
VENV="${NAS_JAX_VENV:-.venv}"

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.12 python3.11 python3 python; do
    if [ -n "$candidate" ] && "$candidate" -c \
        'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer is needed; set PYTHON to its path" >&2
  return 1
}

# Installs again only when setup.py or the extras have changed.
install_extras() {
  local stamp="$VENV/installed${1:+-$1}" wanted
  wanted="$(cksum < setup.py) $PWD"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    if ! "$VENV/bin/python" -c '' 2>/dev/null; then
      local python
      python="$(find_python)"
      echo "making $VENV with $("$python" --version)"
      "$python" -m venv "$VENV"
    fi
    echo "installing nas_jax${1:+ with $1} into $VENV"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
      --editable ".${1:+[$1]}"
    echo "$wanted" > "$stamp"
  fi
}
