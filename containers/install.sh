#!/bin/sh
# The steps that make the image, for Dockerfile and Apptainer.def alike; run from the repository's root.
#   install.sh dependencies   the versions in containers/lock.txt, into /opt/getnet
#   install.sh package        getnet_bids itself; nothing is left that only an installation needs
# TORCH_INDEX: where torch comes from; empty: pip's own index.
set -eu
umask 022
home=/opt/getnet
lock=containers/lock.txt
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

case $1 in
dependencies)
    python3 -m venv "$home"
    grep -v '^torch==' "$lock" > /tmp/lock.txt
    "$home/bin/pip" install --no-deps --requirement /tmp/lock.txt
    # With its dependencies: a CUDA build brings NVIDIA's libraries, and pins them itself.
    "$home/bin/pip" install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' "$lock")"
    rm /tmp/lock.txt
    ;;
package)
    "$home/bin/pip" install --no-deps .
    # Tells when the lock lacks what the package came to need.
    "$home/bin/pip" check
    "$home/bin/pip" uninstall --yes pip
    # What nothing here runs: headers for extensions of torch, its compiled tests and protoc, other packages' tests.
    packages=$(echo "$home"/lib/python3*/site-packages)
    rm -rf "$packages/torch/include" "$packages/torch/test"
    find "$packages/torch/bin" -mindepth 1 ! -name torch_shm_manager -delete
    find "$packages" -type d -name tests -prune -exec rm -rf {} +
    chmod -R go+rX "$home"
    ;;
*)
    echo "install.sh: unknown step: $1" >&2
    exit 64
    ;;
esac
