#!/usr/bin/env bash
# Builds a Kubernetes API server from Debian's own source, once (about five minutes on two cores),
# and runs what is marked `kubernetes` against it: bash tests/drivers/kubernetes.sh [pytest args]
# Debian packages only kubectl, yet its source is all of upstream. Needs root for apt-get.
set -euo pipefail
cd "$(dirname "$0")/../.."
home="$PWD/.dev/engines/kubernetes"
mkdir -p "$home"
if [ ! -x "$home/kube-controller-manager" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qy --no-install-recommends golang-1.19-go etcd-server dpkg-dev
    work="$home/source"
    mkdir -p "$work/lists/partial" "$work/go/src/k8s.io"
    cd "$work"
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb-src [signed-by=$keys] http://deb.debian.org/debian bookworm main" > sources.list
    apt=(apt-get -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$work/lists")
    "${apt[@]}" update -q
    "${apt[@]}" source -q --download-only kubernetes
    [ -d go/src/k8s.io/kubernetes ] || dpkg-source -x kubernetes_*.dsc go/src/k8s.io/kubernetes
    export GOPATH="$work/go" GO111MODULE=off GOCACHE="$work/cache" PATH="/usr/lib/go-1.19/bin:$PATH"
    cd go/src/k8s.io/kubernetes
    # Debian takes out what is generated; its build of kubectl does not need it.
    go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
    kinds=$(grep -rlE '^// \+k8s:openapi-gen=' --include='*.go' pkg vendor/k8s.io staging/src/k8s.io |
        grep -v zz_generated | xargs -n1 dirname | sort -u |
        sed -E 's#^(staging/src|vendor)/##; s#^pkg/#k8s.io/kubernetes/pkg/#' | sort -u | paste -sd,)
    mkdir -p pkg/generated/openapi
    "$work/openapi-gen" --go-header-file hack/boilerplate/boilerplate.generatego.txt -i "$kinds" \
        -O zz_generated.openapi -p k8s.io/kubernetes/pkg/generated/openapi \
        -r "$work/violations" --output-base "$GOPATH/src"
    for program in kube-apiserver kube-controller-manager; do
        go build -o "$home/$program" "./cmd/$program"
    done
    cd "$home/../../.."
    chmod -R u+w "$work" && rm -rf "$work"
fi
exec python3 dev test tests/drivers -m kubernetes "$@"
