# What run, test, dev and bench share: what they need installed, how a tree is built, how they speak. To be sourced; it moves to
# the repository's root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Debian packages, each with the file or command that shows it is there (so that one from elsewhere will do as well; a file may be
# a pattern). Where releases differ a|b stands for either: what shows either will do, and the first that there is is installed.
build_needs='
  g++                  g++
  cmake                cmake
  ninja-build          ninja
  ccache               ccache
  pkg-config           pkg-config
  libuv1-dev           /usr/include/uv.h
  libllhttp-dev|node-llhttp  /usr/include/llhttp.h|/usr/share/llhttp/llhttp.c
  libnghttp2-dev       /usr/include/nghttp2/nghttp2.h
  libssl-dev           /usr/include/openssl/ssl.h
  libxxhash-dev        /usr/include/xxhash.h
  libtomlplusplus-dev  /usr/include/toml++/toml.h
  libcli11-dev         /usr/include/CLI/CLI.hpp
  libspdlog-dev        /usr/include/spdlog/spdlog.h
  doctest-dev          /usr/include/doctest/doctest.h
  nlohmann-json3-dev   /usr/include/nlohmann/json.hpp
'
demo_needs='
  python3              /usr/bin/python3
  curl                 curl
'
test_needs='
  python3              /usr/bin/python3
  python3-pytest       /usr/lib/python3/dist-packages/pytest/__init__.py
  python3-hpack        /usr/lib/python3/dist-packages/hpack/__init__.py
  curl                 curl
  openssl              openssl
  systemd              systemd-analyze
'
apps_needs='
  default-jre-headless java
  tomcat10-common      /usr/share/tomcat10/bin/bootstrap.jar
  nodejs               node
  npm                  npm
  nghttp2-client       h2load
  php-cli              php
  python3-django       /usr/lib/python3/dist-packages/django/__init__.py
  python3-gunicorn     /usr/lib/python3/dist-packages/gunicorn/__init__.py
'
soak_needs='
  slowhttptest         slowhttptest
  haproxy              /usr/sbin/haproxy
'
status_needs='
  chromium             chromium
  fonts-dejavu-core    /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
  nodejs               node
  npm                  npm
'
clang_needs='
  clang                clang++
'
fuzz_needs='
  libclang-rt-dev      /usr/lib/llvm-*/lib/clang/*/include/fuzzer/FuzzedDataProvider.h
'
lint_needs='
  clang-format-19      clang-format-19
'

say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# need LIST...: installs what these lists hold and this machine lacks; says so, and does nothing where everything is there.
need() {
  local packages proofs list missing=() root=()
  for list in "$@"; do
    while read -r packages proofs; do
      [[ -z $packages ]] || is_there "$proofs" || missing+=("$packages")
    done <<<"${!list}"
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "This needs what Debian calls: ${missing[*]}. Please install that, and try again."
  if ((EUID)); then
    command -v sudo >/dev/null || die "Please run as root: apt-get install --no-install-recommends $(first_known "${missing[@]}")"
    root=(sudo)
  fi
  mkdir -p build/logs
  "${root[@]}" apt-get -q update >build/logs/apt.log 2>&1 || installation_failed
  read -ra missing < <(first_known "${missing[@]}")
  say "Installing ${missing[*]} (Debian packages)"
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
    install "${missing[@]}" >>build/logs/apt.log 2>&1 || installation_failed
}
is_there() {  # PROOF|PROOF...
  local proof
  for proof in ${1//|/ }; do  # without quotes: a pattern becomes the files that there are
    [[ ! -e $proof ]] && ! command -v "$proof" >/dev/null || return 0
  done
  return 1
}
first_known() {  # PACKAGE|PACKAGE...: of each argument the first package that this Debian has
  local packages package known=()
  for packages in "$@"; do
    for package in ${packages//|/ }; do
      ! apt-cache show "$package" >/dev/null 2>&1 || break
    done
    known+=("$package")
  done
  say "${known[*]}"
}
installation_failed() { tail -n 20 build/logs/apt.log >&2; die "The installation failed; build/logs/apt.log has everything."; }

export CCACHE_DIR="$PWD/.cache/ccache" CCACHE_BASEDIR="$PWD" CCACHE_MAXSIZE=1G

# build PRESET TARGETS: configures one of CMakePresets.json and builds these targets, by ccache. Each has a directory of its own
# under build/, so that none spoils another. ThreadSanitizer gets those of the tests that have threads.
build() {
  local options=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DLIMPET_WERROR="${LIMPET_WERROR:-OFF}")
  [[ $1 != tsan ]] || options+=("-DLIMPET_TESTS=$(cd tests && grep -rl '#include <thread>' --include='*_test.cc' conf routing health src | sort | tr '\n' ';')")
  cmake --preset "$1" "${options[@]}" >/dev/null
  # shellcheck disable=SC2086  # several targets are several words
  cmake --build --preset "$1" --target $2
}

# fuzz TARGET SECONDS: runs this fuzz target, or all where it is empty; "ok" or "not ok" for each. Corpora are kept, and what
# broke a target is left, in build/fuzz. Seeds, where a target has any, are in tests/fuzz/corpus. Inputs may grow sooner than by
# libFuzzer's default: they spell plays of many moves.
fuzz() {
  local target name found=0 broken=0 seeds
  for target in build/fuzz/fuzz_${1:-*}; do
    [[ -f $target && -x $target ]] || continue  # not what broke one, and not an unmatched pattern
    name=${target##*/} found=1
    mkdir -p "build/fuzz/corpus/$name"
    seeds=()
    [[ ! -d tests/fuzz/corpus/$name ]] || seeds=("tests/fuzz/corpus/$name")
    if "$target" -max_total_time="$2" -timeout=10 -len_control=10 -artifact_prefix="build/fuzz/$name-" \
      "build/fuzz/corpus/$name" "${seeds[@]}"; then
      say "ok $name"
    else
      say "not ok $name"
      broken=1
    fi
  done
  ((found)) || { say "not ok fuzz_${1:-*}: there is no such target"; return 1; }
  return $broken
}

# have_promtool: Prometheus' checker, in $PROMTOOL. Where it is not installed it is taken out of Debian's package, which on Debian 12
# would start a server as well. Tests do without where that fails.
have_promtool() {
  local dir=$PWD/build/prometheus
  PROMTOOL=$(command -v promtool) || PROMTOOL=$dir/usr/bin/promtool
  export PROMTOOL
  [[ -x $PROMTOOL ]] && return
  mkdir -p "$dir" && (cd "$dir" && apt-get -q download "$(first_known 'promtool|prometheus')" && dpkg-deb -x ./*.deb . && rm ./*.deb) || true
  [[ -x $PROMTOOL ]] && return
  unset PROMTOOL
  say 'No promtool: what it would check is skipped.'
}

# listens PORT: does anything answer at this port of 127.0.0.1?
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# without_aslr COMMAND...: ThreadSanitizer finds no room where a kernel scatters addresses widely. Where that may not be turned
# off (some containers), it runs as it is.
without_aslr() {
  if setarch -R true 2>/dev/null; then setarch -R "$@"; else "$@"; fi
}
