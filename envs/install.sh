#!/bin/sh
# Installs the study's packages, checked by their hashes, and the project itself into the Python that is active.
set -e
cd "$(dirname "$0")"
hashed="pip install --quiet --no-deps --require-hashes"
$hashed -r build.lock
$hashed --no-build-isolation -r torch.lock -r study.lock
# The index's torch for Linux needs CUDA's libraries; the CPU's build does not ask for them.
if pip show torch | grep -q '^Requires:.*cuda'; then $hashed -r cuda.lock; fi
pip install --quiet --no-deps --no-build-isolation -e ..
