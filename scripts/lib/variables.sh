# Sourced by the scripts. Checks of environment variables, which may also be unset, and their translation to flags.
# shellcheck shell=bash

# The variables that name_unread_variables looks for: those that the scripts describe and that a shell hardly exports for
# something else. Names of one word (CUDA, FAST, SEED) are not among them, except the terms of this field, nor are LOG_FILE
# and WORK_DIR, nor those that are sensibly exported for every script, such as PYTHON, VENV, DATA_DIR and MODELS_DIR.
SCRIPT_VARIABLES="AMP BASE_CHECKPOINT BASE_GENERATOR BASE_SHARE BATCH_SIZE BINARIZATION_WARMUP_EPOCHS BMARK_EPOCHS_NUM
CHECKPOINT_INTERVAL CMUDICT_PATH DATASET_DIR DATASET_PATH DISCRIMINATOR_WIDTH EPOCHS EPOCHS_THIS_JOB
ESTIMATE_ONLY EVALUATION_CLIPS EXTRACT_PITCH FASTPITCH FASTPITCH_BASE FASTPITCH_BATCH_SIZE FASTPITCH_CONFIG
FASTPITCH_EMA FASTPITCH_EPOCHS FASTPITCH_LEARNING_RATE FASTPITCH_WARMUP_STEPS FILELISTS_DIR
FINE_TUNE_DIR FINE_TUNE_LR_FACTOR FINE_TUNING_EPOCHS FINE_TUNING_LEARNING_RATE GRAD_ACCUMULATION
HIFIGAN HIFIGAN_CONFIG KEEP_ARCHIVE KNOWN_FAULTS LEARNING_RATE LEARNING_RATE_DECAY MAX_RESTARTS
NUM_GPUS NUM_PROCESSES NUM_WORKERS OUTPUT_DIR PREPARE_ONLY P_ARPABET QUICKSTART_DATA QUICKSTART_OUTPUT
QUICKSTART_SHORT QUICKSTART_TEXT RDZV_ENDPOINT RDZV_ID RECOGNISER SAMPLES_INTERVAL SECONDS_LIST
TEST_PROCESSES TORCHSCRIPT TRAIN_FILELIST VAL_FILELIST VAL_INTERVAL VOCODER_BATCH_SIZE VOCODER_EMA
VOCODER_EPOCHS VOCODER_LEARNING_RATE VOCODER_LEARNING_RATE_DECAY VOCODER_WARMUP_STEPS WARMUP_STEPS"

# Variables of different scripts for the same thing.
OTHER_SPELLINGS="DATASET_PATH:DATASET_DIR FILELIST:TRAIN_FILELIST BASE_CHECKPOINT:BASE_GENERATOR WORK_DIR:OUTPUT_DIR
EPOCHS:VOCODER_EPOCHS BATCH_SIZE:VOCODER_BATCH_SIZE LEARNING_RATE:VOCODER_LEARNING_RATE WARMUP_STEPS:VOCODER_WARMUP_STEPS
NUM_GPUS:NUM_PROCESSES WARMUP:WARMUP_STEPS"

# Names the variables that are set for another script, in one line, with their name in this one. A script that another one
# calls is silent.
#   name_unread_variables SCRIPT [CALLED_SCRIPT...]    the files whose comments describe the variables that are read
name_unread_variables() {
    local variable pair other unread=""
    [[ -z ${SCRIPT_VARIABLES_CHECKED:-} ]] || return 0
    export SCRIPT_VARIABLES_CHECKED=true
    for variable in $SCRIPT_VARIABLES; do
        if [[ -z ${!variable:-} ]] || describes "$variable" "$@"; then continue; fi
        unread+="${unread:+, }$variable"
        for pair in $OTHER_SPELLINGS; do
            other=""
            [[ ${pair%:*} == "$variable" ]] && other=${pair#*:}
            [[ ${pair#*:} == "$variable" ]] && other=${pair%:*}
            [[ -z $other ]] || ! describes "$other" "$@" || unread+=" (here it is $other)"
        done
    done
    [[ -z $unread ]] || echo "note: $1 does not read $unread" >&2
}

# describes VARIABLE FILE...    whether the comments of the files describe it
describes() {
    grep -qE "^#(.*[^A-Z_])?$1([^A-Z_]|$)" "${@:2}"
}

# require_true_or_false VARIABLE...
require_true_or_false() {
    local variable
    for variable in "$@"; do
        if [[ ! ${!variable:-true} =~ ^(true|false)$ ]]; then
            echo "error: $variable: '${!variable}' is not true or false" >&2
            exit 1
        fi
    done
}

# require_whole_numbers LEAST VARIABLE...    LEAST: 0 or 1
require_whole_numbers() {
    local least=$1 variable value
    shift
    for variable in "$@"; do
        value=${!variable:-1}
        if [[ ! $value =~ ^(0|[1-9][0-9]*)$ ]] || ((value < least)); then
            echo "error: $variable: '$value' is not a whole number$( ((least == 0)) || echo " above 0")" >&2
            exit 1
        fi
    done
}

# Appends --FLAG VALUE to `args` for each variable that is set.
#   add_flags VARIABLE:FLAG...
add_flags() {
    local setting variable
    for setting in "$@"; do
        variable=${setting%%:*}
        [[ -n ${!variable:-} ]] && args+=("--${setting#*:}" "${!variable}")
    done
    return 0
}

# The same for variables that contain several values, separated by spaces.
add_list_flags() {
    local setting variable values
    for setting in "$@"; do
        variable=${setting%%:*}
        read -ra values <<<"${!variable:-}"
        ((${#values[@]})) && args+=("--${setting#*:}" "${values[@]}")
    done
    return 0
}

# Sets num_gpus to NUM_GPUS, or else to the number of GPUs of this machine. PYTHON: an interpreter with PyTorch.
choose_num_gpus() {
    require_whole_numbers 0 NUM_GPUS
    num_gpus=${NUM_GPUS:-}
    if [[ $num_gpus == 0 ]]; then return; fi
    local found
    found=$("$PYTHON" -c 'import torch; print(torch.cuda.device_count())')
    num_gpus=${num_gpus:-$found}
    if ((num_gpus > found)); then
        echo "error: NUM_GPUS: '$num_gpus', but PyTorch finds $found on this machine; set a smaller number, or 0 for the CPU" >&2
        exit 1
    fi
}
