# 64-bit Windows with Debian's g++-mingw-w64-x86-64-posix; programs of the build run under wine.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_CROSSCOMPILING_EMULATOR wine)
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
# This compiler does not look into the host's headers; of those that are all a library has, links.
foreach(library hwy flatbuffers protozero fmt CLI nlohmann stb)
  if(EXISTS /usr/include/${library} AND NOT EXISTS ${CMAKE_BINARY_DIR}/host-headers/${library})
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/host-headers)
    file(CREATE_LINK /usr/include/${library} ${CMAKE_BINARY_DIR}/host-headers/${library} SYMBOLIC)
  endif()
endforeach()
# The stack is aligned to 16 bytes here, and g++ does not align it further for the vectors it keeps there: the assembler is told to use
# moves that need no alignment.
set(CMAKE_C_FLAGS_INIT "-Wa,-muse-unaligned-vector-move -D_WIN32_WINNT=0x0A00")
set(CMAKE_CXX_FLAGS_INIT "-Wa,-muse-unaligned-vector-move -D_WIN32_WINNT=0x0A00 -isystem ${CMAKE_BINARY_DIR}/host-headers")
# One file: nothing of the compiler's libraries is asked of the system.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-static")
