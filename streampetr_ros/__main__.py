"""``python -m streampetr_ros`` is the same as ``streampetr``."""

from streampetr_ros.tools.cli import main

if __name__ == "__main__":
    main()
