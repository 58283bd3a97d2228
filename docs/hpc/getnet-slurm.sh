#!/usr/bin/env bash
# Correct a BIDS dataset as a SLURM array, with several subjects per task, then run the group level in a job that waits
# for the array. If anything goes wrong, run it again: only subjects that are not done are submitted.
#
#   getnet-slurm.sh [-f] [-n N] [-s "OPTIONS"] [-g "OPTIONS"] [-c "COMMAND"] [-l FILE] [-j FOLDER] BIDS OUT [OPTION ...]
#
#   -n N          subjects per task (default: 25, or more to stay within 1000 tasks, or within the site's limit)
#   -s "OPTIONS"  options of sbatch for the tasks: "--partition=gpu --gres=gpu:1 --cpus-per-task=4 --time=2:00:00"
#   -g "OPTIONS"  options of sbatch for the group job
#   -c "COMMAND"  command that runs getnet-bids: "apptainer run --cleanenv --nv -B /data /images/getnet_bids.sif"
#   -l FILE       process only the subjects whose labels are in this file
#   -f            submit even if jobs for OUT are queued or running
#   -j FOLDER     folder for job scripts and logs, which all nodes must see; each call makes a folder in it
#                 (default: ./getnet-jobs)
#   OPTION ...    options of getnet-bids for all tasks
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
# The full path, so that the tasks need no environment.
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
job_script() { # job_script LOG ARGUMENTS [BEFORE]: print a script that can be given to sbatch again, unchanged
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
# nipype needs LOGNAME, which not every job has; containers with a clean environment must be told which GPU to use.
export LOGNAME="\${LOGNAME:-\$(id -un)}"
if [ -n "\${CUDA_VISIBLE_DEVICES:-}" ]; then
    export APPTAINERENV_CUDA_VISIBLE_DEVICES="\$CUDA_VISIBLE_DEVICES"
    export SINGULARITYENV_CUDA_VISIBLE_DEVICES="\$CUDA_VISIBLE_DEVICES"
fi
$3
exec $command$(quoted "$bids" "$out") $2
SCRIPT
}
# The dollars below are expanded by the task.
# shellcheck disable=SC2016
chunk=$(quoted "$folder/chunk-")'$(printf %04d "$SLURM_ARRAY_TASK_ID")' threads='"${SLURM_CPUS_PER_TASK:-1}"'
job_script %A_%a.log "participant --participant-label$chunk --nprocs $threads$(quoted "$@")" > "$folder/task.sh"
# The group level cannot tell that images are missing which no run has planned, so the job counts them first.
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
        fail "$count subjects, $size per task, are more than the $most tasks of an array that this SLURM allows" \
            "(MaxArraySize); give -n $(((count + most - 1) / most)) or more"
    fi
    split -l "$size" -d -a 4 "$folder/subjects.txt" "$folder/chunk-"
    last=$(((count + size - 1) / size - 1))
    array=$(sbatch --parsable --array="0-$last" "${task_options[@]}" "$folder/task.sh")
    after=(--dependency="afterany:${array%%;*}")
    # The group level compares the results with this table, so that it also names images of tasks that never began.
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
