"""Plain pip install of the core without ROS; colcon reads package.xml and CMakeLists.txt."""

from setuptools import find_packages, setup

setup(
    name="streampetr_ros",
    version="0.2.0",
    description="Multi-camera 3D object detection with a streaming memory, for ROS 2",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    # Naming the root makes an editable install a plain path entry, which lets Python join the
    # source tree with the generated messages installed elsewhere.
    package_dir={"": "."},
    packages=find_packages(include=["streampetr_ros", "streampetr_ros.*"]),
    install_requires=[
        "apsw>=3.40",
        "numpy>=1.26",
        "opencv-python-headless>=4.6",
        "pillow>=10",
        "PyYAML>=5.4",
        "rich>=12",
        "rosbags>=0.11",
        "safetensors>=0.4",
        "scipy>=1.8",
        "simplejpeg>=1.6",
        "threadpoolctl>=3",
        "torch>=2.3",
        "tqdm>=4.60",
        "typer>=0.9",
    ],
    extras_require={
        # The tracking metrics need the last two, in versions the devkit does not name itself.
        "evaluation": ["nuscenes-devkit>=1.2", "matplotlib>=3.6", "motmetrics==1.4.0", "pandas<3"],
        "curves": ["tensorboardX>=2.6"],
        "onnx": ["onnx>=1.16", "onnxruntime>=1.18"],
        "tensorrt": ["onnx>=1.16", "tensorrt>=8.6"],
        "tensorrt-rtx": ["onnx>=1.16", "tensorrt-rtx>=1.7"],
        "ray": ["ray>=2.9"],
        "test": ["pytest>=8,<9"],
        "dev": ["pytest>=8,<9", "ruff"],
    },
    entry_points={"console_scripts": ["streampetr = streampetr_ros.tools.cli:main"]},
)
