#!/usr/bin/env bash
# Correct a BIDS dataset as a SLURM array, some subjects a task, then gather the group's measures in a job that waits
# for it. Run it again to go on after whatever happened: only subjects that are not done are submitted.
#
#   getnet-slurm.sh [-f] [-n N] [-s "OPTIONS"] [-g "OPTIONS"] [-c "COMMAND"] [-l FILE] [-j FOLDER] BIDS OUT [OPTION ...]
#
#   -n N          subjects a task (default: 25, or as many as it takes to have at most 1000 tasks, or the site's limit)
#   -s "OPTIONS"  for sbatch, of the tasks: "--partition=gpu --gres=gpu:1 --cpus-per-task=4 --time=2:00:00"
#   -g "OPTIONS"  for sbatch, of the group job
#   -c "COMMAND"  what runs getnet-bids: "apptainer run --cleanenv --nv -B /data /images/getnet_bids.sif"
#   -l FILE       of subject labels: those alone
#   -f            submit although jobs for OUT are queued or running
#   -j FOLDER     for job scripts and logs, a new one in it each time; all nodes must see it (default: ./getnet-jobs)
#   OPTION ...    of getnet-bids, for all tasks
set -euo pipefail

fail() { echo "getnet-slurm.sh: $*" >&2; exit 64; }

force='' size='' task_options=() group_options=() command='' list='' jobs=getnet-jobs
while getopts fn:s:g:c:l:j: flag; do
    case $flag in
    f) force=yes ;;
    n) size=$OPTARG ;;
    s) read -ra task_options <<< "$OPTARG" ;;
    g) read -ra group_options <<< "$OPTARG" ;;
    c) command=$OPTARG ;;
    l) list=$OPTARG ;;
    j) jobs=$OPTARG ;;
    *) fail "see the head of $0" ;;
    esac
done
shift $((OPTIND - 1))
[[ $size =~ ^([1-9][0-9]{0,8})?$ ]] || fail "-n $size: give a number of subjects, 1 or more"
[ -z "$list" ] || [ -f "$list" ] || fail "-l $list: no such file"
[ $# -ge 2 ] || fail "needs a dataset and an output folder; see the head of $0"
bids=$(realpath "$1") out=$(realpath -m "$2")
shift 2
for option; do
    case $option in
    --participant[-_]label*) fail "give subjects with -l FILE: a task has its own --participant-label" ;;
    participant | group) fail "leave out '$option': both levels are run" ;;
    esac
done
command -v sbatch > /dev/null || fail "there is no sbatch here"
comment="getnet-bids $out"
if [ -z "$force" ] && command -v squeue > /dev/null; then
    there=$({ squeue -h -o '%F %k' 2> /dev/null || true; } | awk -v comment="$comment" '{ id = $1; sub(/^[^ ]* /, "") } $0 == comment { print id }' |
        sort -un | tr '\n' ' ')
    [ -z "$there" ] || fail "for $out these jobs are queued or running: ${there% }; wait, scancel them, or give -f"
fi
# By its whole path, so that the tasks need no environment.
if [ -z "$command" ]; then
    program=$(command -v getnet-bids) || fail "there is no getnet-bids here; give -c"
    command=$(printf %q "$program")
fi

folder=$(realpath -m "$jobs/$(date +%Y%m%dT%H%M%S)-$$")
mkdir -p "$folder"
sh -c "$command"' "$@"' sh "$bids" "$out" participant --dry-run ${list:+--participant-label "$list"} "$@" \
    > "$folder/jobs.tsv"
awk -F '\t' '
    NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
    $column["state"] != "done" { subject = $column["source"]; sub("/.*", "", subject); print subject }
' "$folder/jobs.tsv" | sort -u > "$folder/subjects.txt"
count=$(wc -l < "$folder/subjects.txt")

quoted() { [ $# -eq 0 ] || printf ' %q' "$@"; }
job_script() { # job_script LOG ARGUMENTS [BEFORE]: a script that can be given to sbatch again, as it stands
    set -- "$1" "$2" "${3:-}"
    cat << SCRIPT
#!/bin/bash
#SBATCH --job-name=getnet-bids
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --comment="$comment"
#SBATCH --output="$folder/$1"
# nipype asks for it, and not every job has it; and containers with a clean environment must know which GPU is theirs.
export LOGNAME="\${LOGNAME:-\$(id -un)}"
if [ -n "\${CUDA_VISIBLE_DEVICES:-}" ]; then
    export APPTAINERENV_CUDA_VISIBLE_DEVICES="\$CUDA_VISIBLE_DEVICES"
    export SINGULARITYENV_CUDA_VISIBLE_DEVICES="\$CUDA_VISIBLE_DEVICES"
fi
$3
exec $command$(quoted "$bids" "$out") $2
SCRIPT
}
# The dollars below are for the task.
# shellcheck disable=SC2016
chunk=$(quoted "$folder/chunk-")'$(printf %04d "$SLURM_ARRAY_TASK_ID")' threads='"${SLURM_CPUS_PER_TASK:-1}"'
job_script %A_%a.log "participant --participant-label$chunk --nprocs $threads$(quoted "$@")" > "$folder/task.sh"
# A table of what is there says nothing of what is not.
dry=$(quoted "$bids" "$out" participant --dry-run ${list:+--participant-label "$(realpath "$list")"} "$@")
# shellcheck disable=SC2016
before='left=$('"$command$dry"' 2> /dev/null | awk -F "\t" '\''NR == 1 { for (i = 1; i <= NF; i++) c[$i] = i; next }
    $c["state"] != "done"'\'' | wc -l)
[ "$left" -eq 0 ] || echo "getnet-slurm.sh: $left images are not done; give the same command again" >&2'
job_script %j_group.log group "$before" > "$folder/group.sh"

after=()
if [ "$count" -gt 0 ]; then
    most=1000
    if command -v scontrol > /dev/null; then
        limit=$({ scontrol show config 2> /dev/null || true; } | awk '$1 == "MaxArraySize" { print $3 }')
        [ "${limit:-0}" -le 1 ] || most=$limit
    fi
    tasks=$((most < 1000 ? most : 1000))
    [ -n "$size" ] || size=$((count > 25 * tasks ? (count + tasks - 1) / tasks : 25))
    if [ $(((count + size - 1) / size)) -gt "$most" ] && command -v scontrol > /dev/null; then
        fail "$count subjects, $size a task, are more than the $most tasks of an array that this SLURM allows" \
            "(MaxArraySize); give -n $(((count + most - 1) / most)) or more"
    fi
    split -l "$size" -d -a 4 "$folder/subjects.txt" "$folder/chunk-"
    last=$(((count + size - 1) / size - 1))
    array=$(sbatch --parsable --array="0-$last" "${task_options[@]}" "$folder/task.sh")
    after=(--dependency="afterany:${array%%;*}")
    # The group level compares what there is with this, so that it names the images of tasks that never began.
    planned="$out/logs/$(basename "$folder")-submitted"
    mkdir -p "$planned"
    cut -f 1 "$folder/jobs.tsv" > "$planned/planned.tsv"
    echo "array ${array%%;*}: $count subjects in $((last + 1)) tasks"
else
    echo "all subjects are done"
fi
group=$(sbatch --parsable "${after[@]}" "${group_options[@]}" "$folder/group.sh")
echo "group ${group%%;*}"
echo "scripts and logs: $folder"
