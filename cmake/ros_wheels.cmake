# Lets an unchanged ROS package build against the ROS wheels of a virtual environment; pass it as
# -DCMAKE_PROJECT_INCLUDE=<this file>. Not used where a ROS installation is sourced.

if(NOT ROS_WHEELS_PREFIX)
  find_program(ros_wheels_python NAMES python3 python REQUIRED)
  execute_process(COMMAND "${ros_wheels_python}" -c "import sys; print(sys.prefix)"
    OUTPUT_VARIABLE ROS_WHEELS_PREFIX OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()
list(APPEND CMAKE_PREFIX_PATH "${ROS_WHEELS_PREFIX}")

# The message generators look up their type supports here.
string(FIND ":$ENV{AMENT_PREFIX_PATH}:" ":${ROS_WHEELS_PREFIX}:" ros_wheels_position)
if(ros_wheels_position EQUAL -1)
  set(ENV{AMENT_PREFIX_PATH} "${ROS_WHEELS_PREFIX}:$ENV{AMENT_PREFIX_PATH}")
endif()

# The wheels' exported targets name include directories of the machine that built them, and CMake
# refuses an imported target whose include directory does not exist.
function(_ros_wheels_drop_missing_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT directories)
      continue()
    endif()
    set(existing "")
    foreach(directory IN LISTS directories)
      if(NOT IS_ABSOLUTE "${directory}" OR EXISTS "${directory}")
        list(APPEND existing "${directory}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${existing}")
  endforeach()
endfunction()
cmake_language(DEFER CALL _ros_wheels_drop_missing_includes)
