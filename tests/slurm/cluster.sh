#!/bin/bash
# A Slurm cluster on one Debian host, with all its files in one folder:
#   cluster.sh start DIR      munged, MariaDB, slurmdbd, slurmctld and the nodes node1 and node2
#   cluster.sh cut DIR NODE   a power cut: the node's daemon and its jobs are killed at once
#   cluster.sh stop DIR       end what start has started, by process id
# After start, a shell that sources DIR/environment uses the cluster.
# It needs root, python3 and Debian's slurm-wlm, slurmdbd, munge and mariadb-server; no systemd.
set -euo pipefail

usage="usage: cluster.sh start DIR | cut DIR NODE | stop DIR"
action=${1:?$usage}
dir=$(realpath -m "${2:?$usage}")
here=$(dirname "$(realpath "$0")")
export SLURM_CONF=$dir/slurm.conf
nodes="node1 node2"

# launch NAME COMMAND ...: run in the background, with a log and a file that holds the process id.
launch() {
  local name=$1
  shift
  setsid "$@" > "$dir/$name.out" 2>&1 < /dev/null &
  echo $! > "$dir/$name.pid"
}

# wait_for SECONDS WHAT COMMAND ...: until the command succeeds, or stop with one sentence.
wait_for() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" > /dev/null 2>&1; do
    if ((SECONDS >= until)); then
      echo "$what did not answer; its log is in $dir" >&2
      exit 1
    fi
    sleep 0.5
  done
}

# is_ours PID: whether this process belongs to the cluster; the number may have been given anew.
is_ours() { grep -qszFx "SLURM_CONF=$SLURM_CONF" "/proc/$1/environ"; }

# end NAME: ask the process to end, and kill it if it has not ended after 20 s.
end() {
  local file=$dir/$1.pid pid
  [ -e "$file" ] || return 0
  pid=$(cat "$file")
  rm "$file"
  for signal in TERM KILL; do
    ! is_ours "$pid" || kill -s "$signal" "$pid"
    for _ in $(seq 100); do
      is_ours "$pid" || return 0
      sleep 0.2
    done
  done
}

free_ports() {
  python3 - "$1" << 'PYTHON'
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets))
PYTHON
}

configure() {
  local host password database accounting controller first second
  host=$(uname -n)
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  read -r database accounting controller first second <<< "$(free_ports 5)"
  mkdir -p "$dir"/{bin,controller,node1,node2,munge}
  chmod 755 "$dir" "$dir/munge" # clients of any user must reach munged's socket
  install -m 600 /dev/null "$dir/munge.key"
  head -c 1024 /dev/urandom > "$dir/munge.key"
  (
    umask 077
    cat > "$dir/users.sql" << SQL
CREATE USER 'slurm'@'localhost' IDENTIFIED BY '$password';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'localhost';
SQL
    cat > "$dir/database.cnf" << CNF
[mariadbd]
user = root
datadir = $dir/database
socket = $dir/database.sock
pid-file = $dir/database.own.pid
bind-address = 127.0.0.1
port = $database
init-file = $dir/users.sql
innodb_buffer_pool_size = 64M
innodb_lock_wait_timeout = 900
innodb_flush_log_at_trx_commit = 0
CNF
    cat > "$dir/slurmdbd.conf" << CONF
AuthType = auth/munge
AuthInfo = $dir/munge/socket
DbdHost = localhost
DbdPort = $accounting
SlurmUser = root
StorageType = accounting_storage/mysql
StorageHost = 127.0.0.1
StoragePort = $database
StorageUser = slurm
StoragePass = $password
LogFile = $dir/slurmdbd.log
PidFile = $dir/slurmdbd.own.pid
CONF
  )
  # SlurmdTimeout: a dead node is noticed after so many seconds. cred_expire: a requeued job waits
  # this long before it may start again. Both are minutes on a real cluster.
  cat > "$dir/slurm.conf" << CONF
ClusterName = rdrepro
SlurmctldHost = $host(127.0.0.1)
SlurmctldPort = $controller
SlurmUser = root
SlurmdUser = root
AuthType = auth/munge
AuthInfo = socket=$dir/munge/socket,cred_expire=10
CredType = cred/munge
SlurmdTimeout = 10
KillWait = 5
JobRequeue = 1
ProctrackType = proctrack/linuxproc
TaskPlugin = task/none
JobAcctGatherType = jobacct_gather/none
MpiDefault = none
SchedulerType = sched/backfill
SelectType = select/cons_tres
SelectTypeParameters = CR_CPU
SlurmdParameters = config_overrides
AccountingStorageType = accounting_storage/slurmdbd
AccountingStorageHost = localhost
AccountingStoragePort = $accounting
AccountingStoragePass = $dir/munge/socket
StateSaveLocation = $dir/controller
SlurmctldLogFile = $dir/slurmctld.log
SlurmctldPidFile = $dir/slurmctld.own.pid
SlurmdSpoolDir = $dir/%n
SlurmdLogFile = $dir/%n.log
SlurmdPidFile = $dir/%n/own.pid
NodeName = node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$first CPUs=1 RealMemory=16000
NodeName = node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$second CPUs=1 RealMemory=16000
PartitionName = all Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
CONF
}

# The plugin's job steps clear SLURM_CONF, so a job's srun gets it from a script of that name.
write_environment() {
  cat > "$dir/environment" << SH
export SLURM_CONF='$SLURM_CONF'
export PATH='$dir/bin':"\$PATH"
SH
  cat > "$dir/bin/srun" << SH
#!/bin/sh
SLURM_CONF='$SLURM_CONF' exec '$(command -v srun)' "\$@"
SH
  chmod +x "$dir/bin/srun"
}

both_idle() { [ "$(sinfo --noheader --Node --format=%T | grep -c '^idle$')" = 2 ]; }

start() {
  if [ -e "$SLURM_CONF" ]; then
    echo "$dir already holds a cluster; name a new folder" >&2
    exit 1
  fi
  configure
  write_environment
  trap stop EXIT # a cluster that is half up is taken down again
  launch munged munged --foreground --force --key-file="$dir/munge.key" \
    --socket="$dir/munge/socket" --pid-file="$dir/munge/own.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munge/seed"
  mariadb-install-db --no-defaults --user=root --datadir="$dir/database" --skip-test-db \
    > "$dir/install.out" 2>&1
  launch mariadbd mariadbd --defaults-file="$dir/database.cnf"
  wait_for 20 munged munge --socket="$dir/munge/socket" --no-input
  wait_for 60 mariadbd mariadb-admin --no-defaults --socket="$dir/database.sock" ping
  launch slurmdbd slurmdbd -D # its slurmdbd.conf is looked for beside slurm.conf
  wait_for 60 slurmdbd sacctmgr --immediate add cluster rdrepro
  launch slurmctld slurmctld -D -f "$SLURM_CONF"
  wait_for 60 slurmctld scontrol ping
  for node in $nodes; do
    launch "$node" python3 "$here/node.py" slurmd -D -N "$node" -f "$SLURM_CONF"
  done
  wait_for 60 "one of the nodes" both_idle
  trap - EXIT
}

stop() {
  for name in $nodes slurmctld slurmdbd mariadbd munged; do
    end "$name"
  done
}

case $action in
  start) start ;;
  cut) end "${3:?$usage}" ;;
  stop) stop ;;
  *)
    echo "$usage" >&2
    exit 2
    ;;
esac
