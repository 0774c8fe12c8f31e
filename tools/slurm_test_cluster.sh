#!/usr/bin/env bash
# A real Slurm of two nodes on this machine, for tests: munged, slurmctld and two slurmd from Debian's packages
# slurm-wlm and munge. Nothing outside one folder is written, and /etc is not read.
#
# usage: tools/slurm_test_cluster.sh start|stop|status [DIR]
#
#   eval "$(tools/slurm_test_cluster.sh start)"     # prints `export SLURM_CONF=...`; nothing is started twice
#   srun --nodes 2 hostname
#   tools/slurm_test_cluster.sh stop                # leaves no process and no file
#
# DIR holds all state; default: $TMPDIR/omni_asr_slurm.<user id>. Its path must be short (a socket lies in it). Each
# node claims two processors and 64 GB, whatever the machine has. Nothing checks that jobs keep to that.
set -euo pipefail
PATH=${PATH}:/usr/sbin:/sbin

fail() {
    echo "slurm_test_cluster.sh: error: $*" >&2
    exit 1
}

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; }

need_programs() {
    local program
    for program in munged mungekey slurmctld slurmd sbatch; do
        command -v "${program}" > /dev/null ||
            fail "there is no ${program}; install it: apt-get install --no-install-recommends slurm-wlm munge"
    done
    ((${#dir} <= 80)) || fail "the path ${dir} is too long for a socket; name a shorter folder, such as /tmp/slurm"
}

is_free() { ! (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# free_ports: the first of three ports that nobody listens on, from a range where few programs do. They are neighbours,
# because a port is taken only when its daemon starts, and three draws might be of one port.
free_ports() {
    local port
    while true; do
        port=$((20000 + RANDOM % 10000))
        is_free "${port}" && is_free $((port + 1)) && is_free $((port + 2)) && break
    done
    echo "${port}"
}

write_conf() {
    local host user port
    host=$(hostname -s)
    user=$(id -un)
    port=$(free_ports)
    cat > "${dir}/slurm.conf" << CONF
ClusterName=omni_asr_test
SlurmctldHost=${host}(127.0.0.1)
SlurmctldPort=${port}
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
CredType=cred/munge
# A requeued job starts only when the credentials of its first start have run out, after two minutes by default.
AuthInfo=socket=${dir}/munge.socket,cred_expire=5
StateSaveLocation=${dir}/state
SlurmdSpoolDir=${dir}/spool.%n
SlurmctldPidFile=${dir}/slurmctld.pid
SlurmdPidFile=${dir}/slurmd.%n.pid
SlurmctldLogFile=${dir}/slurmctld.log
SlurmdLogFile=${dir}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=1000
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0,sched_min_interval=0
JobRequeue=1
ReturnToService=2
MinJobAge=60
KillWait=20
SlurmctldTimeout=30
SlurmdTimeout=60
InactiveLimit=0
NodeName=DEFAULT CPUs=2 RealMemory=64000 State=UNKNOWN
NodeName=node1 NodeHostname=${host} NodeAddr=127.0.0.1 Port=$((port + 1))
NodeName=node2 NodeHostname=${host} NodeAddr=127.0.0.1 Port=$((port + 2))
PartitionName=test Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
CONF
}

pid_files() { echo "${dir}"/{slurmd.node1,slurmd.node2,slurmctld,munged}.pid; }

# runs FILE: whether the process noted in a file of ours is there, and is of ours.
runs() {
    local pid
    [[ -s $1 ]] && pid=$(< "$1") && tr '\0' ' ' 2> /dev/null < "/proc/${pid}/cmdline" | grep -q "slurm\|munge"
}

# wait_for SECONDS COMMAND...
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" &> /dev/null; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

both_idle() { [[ $(sinfo -h -N -o %t | sort -u) =~ ^(idle|mix|alloc)($|[[:space:]]) && $(sinfo -h -N -o %N | wc -l) == 2 ]]; }

show_logs() {
    local file
    for file in "${dir}"/*.log; do
        [[ ! -s ${file} ]] || { echo "end of ${file}:" && tail -n 5 "${file}"; } >&2
    done
}

# start_daemon NAME COMMAND...: starts a daemon that puts itself into the background and writes NAME.pid.
start_daemon() {
    local name=$1
    shift
    runs "${dir}/${name}.pid" && return 0
    "$@" < /dev/null >> "${dir}/${name}.log" 2>&1 && wait_for 20 runs "${dir}/${name}.pid" && return 0
    show_logs
    stop
    fail "${name} does not start, see above"
}

start() {
    need_programs
    mkdir -p "${dir}/state"
    chmod 755 "${dir}" "${dir}/state"
    dir=$(cd "${dir}" && pwd)
    export SLURM_CONF=${dir}/slurm.conf
    [[ -e ${SLURM_CONF} ]] || write_conf
    [[ -e ${dir}/munge.key ]] || mungekey --create --keyfile="${dir}/munge.key"
    start_daemon munged munged --key-file="${dir}/munge.key" --socket="${dir}/munge.socket" --force \
        --pid-file="${dir}/munged.pid" --log-file="${dir}/munged.log" --seed-file="${dir}/munge.seed"
    start_daemon slurmctld slurmctld
    start_daemon slurmd.node1 slurmd -N node1
    start_daemon slurmd.node2 slurmd -N node2
    if ! wait_for 40 both_idle; then
        show_logs
        stop
        fail "the nodes do not come up, see above"
    fi
    echo "export SLURM_CONF=${SLURM_CONF}"
}

all_ended() {
    local file
    for file in $(pid_files); do ! runs "${file}" || return 1; done
}

# Jobs are cancelled first, since their processes outlive the daemons.
stop() {
    local file
    [[ -d ${dir} ]] || return 0
    export SLURM_CONF=${dir}/slurm.conf
    if runs "${dir}/slurmctld.pid"; then
        timeout 10 scancel --user="$(id -un)" &> /dev/null || true
        wait_for 30 no_jobs || true
    fi
    for file in $(pid_files); do ! runs "${file}" || kill "$(< "${file}")" || true; done
    if ! wait_for 20 all_ended; then
        for file in $(pid_files); do ! runs "${file}" || kill -KILL "$(< "${file}")" || true; done
        wait_for 5 all_ended || true
    fi
    rm -rf "${dir}"
}

no_jobs() { local jobs && jobs=$(timeout 10 squeue -h) && [[ -z ${jobs} ]]; }

status() {
    runs "${dir}/slurmctld.pid" || fail "no test cluster runs in ${dir}"
    SLURM_CONF=${dir}/slurm.conf timeout 10 sinfo -N
    echo "export SLURM_CONF=${dir}/slurm.conf"
}

action=${1-}
dir=${2:-${TMPDIR:-/tmp}/omni_asr_slurm.$(id -u)}
case ${action} in
    start | stop | status) "${action}" ;;
    -h | --help) usage ;;
    *) fail "say start, stop or status (--help says more)" ;;
esac
