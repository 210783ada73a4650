#!/bin/bash
# Runs four embedded categories on a Slurm cluster of this host, cuts one of its two nodes off while
# it computes, and checks the rows: `make test-slurm`. It installs Debian's packages of Slurm.
set -euo pipefail

root=$(realpath "$(dirname "$0")/../..")
packages="slurm-wlm slurmdbd munge mariadb-server python3"
categories="bottle cable capsule carpet"
lost=node2
policy=/usr/sbin/policy-rc.d

refuse() {
  echo "$1" >&2
  exit 2
}

[ "$(id -u)" = 0 ] || refuse "the Slurm test starts a cluster's daemons, which needs root"
command -v apt-get > /dev/null || refuse "the Slurm test installs Debian packages and needs apt-get"
[ -x "$root/.venv/bin/snakemake" ] || refuse "the Slurm test needs .venv; call make test-slurm"

installed() { dpkg-query --show --showformat='${Status}\n' "$@" 2> /dev/null; }

# Packages start their daemons with a configuration of their own, unless policy-rc.d forbids it.
install_packages() {
  if ! [ -e "$policy" ]; then
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086  # a list of names
  { apt-get update && apt-get install --yes --no-install-recommends $packages; } \
    > "$work/apt.log" 2>&1 || fail "apt-get could not install $packages" "$work/apt.log"
}

# until_computing SECONDS: wait until a job has computed so long on the node that will be lost.
until_computing() {
  until [ -n "$(squeue --noheader --nodelist="$lost" --states=RUNNING --format=%M |
    awk -F: -v least="$1" '$1 * 60 + $2 >= least')" ]; do
    kill -0 "$snakemake" 2> /dev/null || fail "no job came to $lost" "$log"
    sleep 1
  done
}

# fail SENTENCE LOG
fail() {
  echo "$1; the last lines of $2:" >&2
  tail -n 20 "$2" >&2
  exit 1
}

finish() {
  local code=$?
  trap - EXIT
  [ -z "$policy_is_ours" ] || rm "$policy"
  [ -z "$snakemake" ] || kill "$snakemake" 2> /dev/null || true
  "$root/tests/slurm/cluster.sh" stop "$work/cluster"
  if [ "$code" = 0 ]; then
    rm -rf "$work"
  else
    echo "the Slurm test failed; its logs are in $work" >&2
  fi
  exit "$code"
}

work=$(mktemp -d)
chmod 755 "$work" # Munge wants its socket to be reachable by every user
log=$work/snakemake.log policy_is_ours='' snakemake=''
trap finish EXIT
trap 'exit 130' INT TERM

# shellcheck disable=SC2086
[ "$(installed $packages | grep -c '^install ok installed$')" = "$(wc -w <<< "$packages")" ] ||
  install_packages
"$root/tests/slurm/cluster.sh" start "$work/cluster"
. "$work/cluster/environment"

# Changed settings make the rows trials, which have a folder of their own.
export RDREPRO_RESULTS=$work/results
rows=$work/results/scratch/embedded/runs
cd "$root"
timeout --kill-after=20 1800 .venv/bin/snakemake --snakefile workflow/Snakefile \
  --profile workflow/profiles/slurm --directory "$work" \
  --set-resources run:gpu=0 --slurm-no-account \
  --slurm-init-seconds-before-status-checks 5 --latency-wait 10 \
  --config target=embedded only="category=${categories// /,}" \
  set="image_size=64 epochs=2 backbone=resnet18 weights=random" \
  -- embedded > "$log" 2>&1 &
snakemake=$!

until_computing 10
tests/slurm/cluster.sh cut "$work/cluster" "$lost"
echo "$lost is cut off; its job has to finish on the other node"
wait "$snakemake" || fail "the workflow ended with exit code $?" "$log"
snakemake=''

sacct --allocations --duplicates --parsable2 --format=JobIDRaw,State,NodeList,Start,End \
  > "$work/jobs.txt"
cat "$work/jobs.txt"
# shellcheck disable=SC2086
.venv/bin/python tests/slurm/check.py "$rows" "$work/jobs.txt" $categories
