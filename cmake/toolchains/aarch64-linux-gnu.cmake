# 64-bit Arm Linux with Debian's g++-aarch64-linux-gnu; programs of the build run under qemu-user.
#
# LINNET_QEMU_CPU says which processor qemu imitates: cortex-a53 and cortex-a72 have no dot products, cortex-a76 has, max
# has everything.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(LINNET_QEMU_CPU cortex-a76 CACHE STRING "The processor qemu imitates")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/aarch64-linux-gnu;-cpu;${LINNET_QEMU_CPU})
# Libraries come from the target's folders; headers that are all a library has may be the host's.
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
