# Sourced by the scripts. Checks of environment variables, which may also be unset, and their translation to flags.
# shellcheck shell=bash

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
