# Sourced by the training scripts after python.sh and variables.sh. scripts/train_lj22khz.sh describes the variables. If
# the script's arguments contain --global-batch-size, it determines the batch.
# shellcheck shell=bash

# Checks the variables, and sets num_gpus, processes (of this machine), batch_size, and the arguments `batch`.
#   choose_batch RECIPE_BATCH DEFAULT_BATCH_SIZE ARGUMENTS...
choose_batch() {
    local global_batch=$1 default_size=$2 one_pass accumulation n
    shift 2
    require_whole_numbers 0 MAX_RESTARTS
    require_whole_numbers 1 BATCH_SIZE BS GRAD_ACCUMULATION
    require_true_or_false AMP RESUME

    nnodes=${NNODES:-1}
    least=${nnodes%:*} most=${nnodes#*:}
    if [[ ! $nnodes =~ ^[1-9][0-9]*(:[1-9][0-9]*)?$ ]] || ((least > most)); then
        echo "error: NNODES: '$nnodes' is not a number of machines or a range MIN:MAX" >&2
        exit 1
    fi
    if ((most > 1)) && [[ ! ${RDZV_ENDPOINT:-} =~ ^[^[:space:]]+:[1-9][0-9]*$ ]]; then
        echo "error: RDZV_ENDPOINT: '${RDZV_ENDPOINT:-}' is not the host:port of the first machine, needed for NNODES=$nnodes" >&2
        exit 1
    fi

    num_gpus=0
    choose_num_gpus
    batch_size=${BATCH_SIZE:-${BS:-$default_size}}
    processes=$((num_gpus > 0 ? num_gpus : 1))
    one_pass=$((processes * batch_size)) # segments or clips on this machine
    if [[ $* =~ --global[-_]batch[-_]size ]]; then
        batch=() # that argument determines it
    elif ((least < most)) && [[ -z ${GRAD_ACCUMULATION:-} ]]; then
        for ((n = least; n <= most; n++)); do
            if ((global_batch % (n * one_pass))); then
                echo "error: NNODES: '$nnodes' includes $n, but $n x $processes x $batch_size segments cannot share a global" \
                    "batch of $global_batch; give --global-batch-size, or GRAD_ACCUMULATION (the batch then depends on the number)" >&2
                exit 1
            fi
        done
        batch=(--global-batch-size "$global_batch")
    else
        accumulation=$((global_batch / (most * one_pass)))
        accumulation=${GRAD_ACCUMULATION:-$((accumulation > 0 ? accumulation : 1))}
        batch=(--grad-accumulation "$accumulation")
        if ((least * one_pass * accumulation != global_batch || most * one_pass * accumulation != global_batch)); then
            local names="NUM_GPUS x BATCH_SIZE x GRAD_ACCUMULATION" values="$processes x $batch_size x $accumulation"
            if ((most > 1)); then
                names="NNODES x $names" values="${nnodes/:/ to } x $values"
            fi
            local total=$((least * one_pass * accumulation))
            ((least < most)) && total+=" to $((most * one_pass * accumulation))"
            echo "warning: $names = $values = $total, the recipe's global batch is $global_batch" >&2
        fi
    fi
}

# Appends the flags of the batch and of the switches to `args`, and --FLAG VALUE for each variable that is set.
#   add_settings VARIABLE:FLAG...
add_settings() {
    args+=(--batch-size "$batch_size" ${batch[@]+"${batch[@]}"})
    ((num_gpus > 0)) && args+=(--cuda)
    [[ ${AMP:-false} == true ]] && args+=(--amp)
    [[ ${RESUME:-true} == false ]] && args+=(--no-resume)
    add_flags "$@"
}

# Runs the program with these arguments, with torchrun for several processes or restarts.
launch() {
    local max_restarts=${MAX_RESTARTS:-$((most > 1 ? 10 : 0))} torchrun=()
    if ((max_restarts > 0)) && [[ ${RESUME:-true} == false ]]; then
        echo "error: RESUME: 'false', but restarted processes resume from checkpoints; set MAX_RESTARTS=0" >&2
        exit 1
    fi
    if ((most > 1)); then
        torchrun+=(--rdzv-backend c10d --rdzv-endpoint "$RDZV_ENDPOINT" --rdzv-id "${RDZV_ID:-${SLURM_JOB_ID:-hifigan}}")
        torchrun+=(--nnodes "$nnodes")
        # Announce the address of rank 0 again after each restart. By default PyTorch announces it only once, and a
        # machine that returns waits for it forever (pytorch/pytorch#135712).
        export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
        # On SIGTERM torchrun gives its processes 30 seconds by default, too little for a step and a checkpoint on a busy disk.
        export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-120}
    elif ((processes > 1 || max_restarts > 0)); then
        torchrun+=(--standalone) # on a free port
    else
        exec "$PYTHON" "$@"
    fi
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # torchrun's own default, which it would announce in four lines
    torchrun+=(--nproc-per-node "$processes")
    ((max_restarts > 0)) && torchrun+=(--max-restarts "$max_restarts")
    exec "$PYTHON" -m torch.distributed.run "${torchrun[@]}" "$@"
}
