#!/bin/bash
# Runs four embedded categories on a Slurm cluster of this host, cuts off one of its two nodes in the
# middle, and checks the rows: `make test-slurm`. It needs root and Debian, works in a container, and
# installs Debian's packages of Slurm. All other files are in a temporary folder, which stays only
# where the test fails.
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

# lost_job: the job whose notebook is executed on the node that will be lost.
lost_job() {
  local comment name
  comment=$(squeue --noheader --nodelist="$lost" --states=RUNNING --format=%k)
  name=${comment#rule_run_wildcards_embedded_}
  ! [ -e "$results/jobs/embedded/$name.running" ] || echo "$name"
}

# until_in_the_middle: wait until a notebook has been executed for ten seconds on that node.
until_in_the_middle() {
  local job
  while kill -0 "$snakemake" 2> /dev/null; do
    job=$(lost_job)
    if [ -n "$job" ]; then
      sleep 10
      [ "$(lost_job)" != "$job" ] || return 0
    fi
    sleep 1
  done
  fail "the workflow ended before $lost was cut off" "$log"
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
  if [ -n "$snakemake" ]; then
    kill "$snakemake" 2> /dev/null || true # it cancels its jobs first
    wait "$snakemake" || true
  fi
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
results=$RDREPRO_RESULTS/scratch/embedded
cd "$root"
timeout --kill-after=20 1800 .venv/bin/snakemake --snakefile workflow/Snakefile \
  --profile workflow/profiles/slurm --directory "$work" \
  --set-resources run:gpu=0 --slurm-no-account \
  --slurm-init-seconds-before-status-checks 5 --latency-wait 10 \
  --config target=embedded only="category=${categories// /,}" \
  set="image_size=64 epochs=2 backbone=resnet18 weights=random" \
  -- embedded > "$log" 2>&1 &
snakemake=$!

until_in_the_middle
tests/slurm/cluster.sh cut "$work/cluster" "$lost"
echo "$lost is cut off; its job has to finish on the other node"
wait "$snakemake" || fail "the workflow ended with exit code $?" "$log"
snakemake=''

sacct --allocations --duplicates --parsable2 --format=JobIDRaw,State,NodeList,Start,End \
  > "$work/jobs.txt"
cat "$work/jobs.txt"
# shellcheck disable=SC2086
.venv/bin/python tests/slurm/check.py "$results/runs" "$work/jobs.txt" $categories
