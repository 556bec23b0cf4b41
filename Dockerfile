# The node with an installed ROS 2, for CPUs and NVIDIA GPUs. Written from the documentation of Docker
# and of the images it names; it has not been built yet.
#
#   docker build -t streampetr .
#   docker run --rm --gpus all --net host --ipc host --shm-size 1g -v /data:/data streampetr \
#     ros2 launch streampetr_ros streampetr.launch.py weights:=/data/r50.safetensors device:=cuda
#
# --shm-size: camera images come through shared memory. Each process that publishes or receives some
# holds a segment of 64 MiB (config/fastdds_shm.xml), and all of /dev/shm has 64 MiB in a container
# unless told otherwise, which loses images without a word. --ipc host shares that of the machine
# instead, which drivers outside of the container need; then --shm-size has no effect. Let both
# sides run as the same user (--user), who alone may write to a segment.
# --gpus all needs the NVIDIA Container Toolkit. No image with CUDA is needed below: the wheels of
# PyTorch bring the CUDA libraries that they were built with.
# On a Jetson, take an image with ROS 2 and the PyTorch of JetPack: --build-arg BASE=... TORCH=.
ARG BASE=ros:jazzy-ros-base
FROM ${BASE}

ARG TORCH="-r requirements/torch.txt"
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1 NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    HOME=/var/lib/streampetr
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /opt/streampetr/src/streampetr_ros

COPY package.xml ./
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip \
    && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install --from-paths . -y --dependency-types buildtool --dependency-types build \
      --dependency-types exec --skip-keys "python3-pytorch-pip python3-rosbags-pip \
      python3-simplejpeg-pip rviz2 rviz_default_plugins" \
    && rm -rf /var/lib/apt/lists/*

COPY requirements requirements
# shellcheck disable=SC2086
RUN pip install --ignore-installed -c requirements/constraints.txt -r requirements/run.txt $TORCH

COPY . .
WORKDIR /opt/streampetr
RUN . "/opt/ros/$ROS_DISTRO/setup.bash" \
    && colcon build \
    && install -d -m 1777 "$HOME"
ENV FASTRTPS_DEFAULT_PROFILES_FILE=/opt/streampetr/src/streampetr_ros/config/fastdds_shm.xml \
    FASTDDS_DEFAULT_PROFILES_FILE=/opt/streampetr/src/streampetr_ros/config/fastdds_shm.xml

USER 1000
WORKDIR ${HOME}
ENTRYPOINT ["/bin/bash", "-c", ". /opt/streampetr/install/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "streampetr_ros", "streampetr.launch.py"]
