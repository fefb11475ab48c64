#!/usr/bin/env bash
# Compares the tested versions of all packages (hashes/) with published advisories, by pip-audit (pip install pip-audit),
# which asks the package index. Status 1 if there is an advisory or no answer. Further arguments go to pip-audit.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/variables.sh
name_unread_variables scripts/audit.sh

if ! command -v pip-audit >/dev/null; then
    echo "error: pip-audit is missing: pip install pip-audit" >&2
    exit 1
fi
args=(--disable-pip --require-hashes --strict) # strict: a package without an answer counts, too
for file in hashes/requirements*.txt hashes/torch-pypi.txt; do args+=(--requirement "$file"); done
exec pip-audit "${args[@]}" "$@"
