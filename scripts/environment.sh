# shellcheck shell=bash
# Source this in bash after scripts/setup: `. scripts/environment.sh` puts .venv, the messages and
# the shared-memory transport for images into the environment. With --local, nodes started from
# this shell see only each other: own domain, this machine only.

streampetr_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
export VIRTUAL_ENV="$streampetr_root/.venv"
export PATH="$VIRTUAL_ENV/bin:$PATH"
unset PYTHONHOME _ROS_WHEELS_BOOTSTRAP_COMPLETE

if [ "$(cat "$VIRTUAL_ENV/streampetr/mode" 2>/dev/null)" = "wheels" ]; then
  # The wheels start Python a second time to set the library path; a path inherited from another
  # environment would come first there.
  unset PYTHONPATH LD_LIBRARY_PATH
  export AMENT_PREFIX_PATH="$VIRTUAL_ENV"
else
  export AMENT_PREFIX_PATH="$VIRTUAL_ENV${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
  export LD_LIBRARY_PATH="$VIRTUAL_ENV/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi

if [ -z "${FASTRTPS_DEFAULT_PROFILES_FILE:-}${FASTDDS_DEFAULT_PROFILES_FILE:-}" ]; then
  # Fast DDS 2 (up to Jazzy) reads the first, Fast DDS 3 (from Kilted on) the second.
  export FASTRTPS_DEFAULT_PROFILES_FILE="$streampetr_root/config/fastdds_shm.xml"
  export FASTDDS_DEFAULT_PROFILES_FILE="$FASTRTPS_DEFAULT_PROFILES_FILE"
fi

if [ "${1:-}" = "--local" ]; then
  export ROS_DOMAIN_ID="${ROS_DOMAIN_ID:-$(($$ % 100 + 1))}"
  export ROS_LOG_DIR="${ROS_LOG_DIR:-$streampetr_root/log/ros}"
  case "${ROS_DISTRO:-}" in
    humble) export ROS_LOCALHOST_ONLY=1 ;;
    *) export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ;;
  esac
fi
unset streampetr_root
