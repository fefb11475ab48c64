#!/usr/bin/env bash
# Another name of scripts/train_lj22khz.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/train_lj22khz.sh" "$@"
