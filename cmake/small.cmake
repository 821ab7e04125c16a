# A build for size: what phones get.
#
# linnet_make_small(objects shared) is called with the static and the shared library. Kernels are compiled for speed,
# everything else for size; nothing throws; what no exported function reaches is dropped; operator new and the functions by
# which the standard library reports errors are Linnet's own (api/small_runtime.cc), which keeps the unwinder, the demangler
# and their tables out of the library.
set(lto_default OFF)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SIZEOF_VOID_P EQUAL 8)   # (GCC 12 for ARMv7 ends in an error of its own)
  set(lto_default ON)
endif()
option(LINNET_LTO "Optimise a small build at link time" ${lto_default})
set(LINNET_PAGE_BYTES 4096 CACHE STRING "Page size that a small library is laid out for: 4096, or 16384 as Android 15 wants")

function(linnet_make_small objects shared)
  target_compile_options(${objects} PRIVATE -fno-exceptions -fno-rtti -fno-unwind-tables -fno-asynchronous-unwind-tables
    -fomit-frame-pointer -ffunction-sections -fdata-sections -fmerge-all-constants)
  get_target_property(sources ${objects} SOURCES)
  foreach(file IN LISTS sources)
    if(NOT file MATCHES "\\.cc$")
      continue()
    endif()
    # Loops over elements are for speed; what drives them is not.
    file(STRINGS ${file} vectors REGEX "hwy/highway\\.h" LIMIT_COUNT 1)
    if(NOT vectors AND NOT file MATCHES "/kernels/(copy|pointwise_program)\\.cc$")
      set_property(SOURCE ${file} APPEND PROPERTY COMPILE_OPTIONS -Os)
    elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      set_property(SOURCE ${file} APPEND PROPERTY COMPILE_OPTIONS -falign-functions=4)
    endif()
    # Only the files that ask are told, themselves or through what they include of kernels.
    file(STRINGS ${file} asks REGEX "LINNET_SMALL" LIMIT_COUNT 1)
    file(STRINGS ${file} parts REGEX "^#include \"kernels/.*-inl\\.h\"")
    foreach(part IN LISTS parts)
      string(REGEX REPLACE "^#include \"([^\"]*)\".*" "${PROJECT_SOURCE_DIR}/src/\\1" part "${part}")
      file(STRINGS ${part} more REGEX "LINNET_SMALL" LIMIT_COUNT 1)
      list(APPEND asks ${more})
    endforeach()
    if(asks)
      set_property(SOURCE ${file} APPEND PROPERTY COMPILE_DEFINITIONS LINNET_SMALL=1)
    endif()
  endforeach()
  if(LINNET_LTO)
    # Fat objects: tools/size.py asks them which file a function is of.
    target_compile_options(${objects} PRIVATE -flto -ffat-lto-objects)
    target_link_options(${shared} PRIVATE -flto=1 -flto-partition=one -Os -ffunction-sections -fdata-sections)
  endif()
  target_link_options(${shared} PRIVATE -nodefaultlibs -Wl,--gc-sections -Wl,-s -Wl,--exclude-libs,ALL -Wl,--as-needed
    -Wl,-z,max-page-size=${LINNET_PAGE_BYTES} -Wl,-z,noseparate-code -Wl,--hash-style=gnu -Wl,--build-id=none -Wl,-O1
    -Wl,-Map=${CMAKE_BINARY_DIR}/liblinnet.map)
  if(LINNET_STATIC_PLANS)
    # The page that tables could be made read-only with, once they are relocated, is half padding in the file; and nothing
    # unwinds.
    target_link_options(${shared} PRIVATE -Wl,-z,norelro -Wl,--no-eh-frame-hdr)
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Cortex-A53's erratum 843419: within the reach of an adr, which replaces the instruction at fault, no page of stubs is kept.
    target_link_options(${shared} PRIVATE -Wl,--fix-cortex-a53-843419=adr)
  endif()
  # Whatever of the C++ library is used is inside; the C library and libm are the system's.
  target_link_libraries(${shared} PRIVATE -Wl,-Bstatic -lstdc++ -Wl,-Bdynamic -lm -lc -lgcc)
endfunction()

# linnet_make_whole(objects): target linnet_whole, whole/liblinnet.a: all of a small library as one object whose only global names are
# the C interface's, so that its operator new and what else it brings of the C++ library are nobody's but its own.
function(linnet_make_whole objects)
  set(folder ${CMAKE_BINARY_DIR}/whole)
  file(MAKE_DIRECTORY ${folder})
  set(command_line ${CMAKE_CXX_COMPILER} ${CMAKE_CXX_FLAGS})
  separate_arguments(command_line)
  if(LINNET_LTO)
    list(APPEND command_line -flto=1 -flto-partition=one -flinker-output=nolto-rel -Os -ffunction-sections -fdata-sections)
  endif()
  add_custom_command(OUTPUT ${folder}/liblinnet.a
    COMMAND ${command_line} -nostdlib -r -Wl,--force-group-allocation -o ${folder}/linnet.o $<TARGET_OBJECTS:${objects}> -Wl,-Bstatic -lstdc++ -Wl,-Bdynamic
    COMMAND ${CMAKE_OBJCOPY} --wildcard "--keep-global-symbol=Linnet*" --strip-unneeded ${folder}/linnet.o
    COMMAND ${CMAKE_COMMAND} -E rm -f ${folder}/liblinnet.a
    COMMAND ${CMAKE_AR} rcs ${folder}/liblinnet.a ${folder}/linnet.o
    DEPENDS ${objects} $<TARGET_OBJECTS:${objects}>
    COMMAND_EXPAND_LISTS VERBATIM)
  add_custom_target(linnet_whole DEPENDS ${folder}/liblinnet.a)
  add_library(linnet_whole_archive INTERFACE)
  add_dependencies(linnet_whole_archive linnet_whole)
  target_include_directories(linnet_whole_archive INTERFACE ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(linnet_whole_archive INTERFACE ${folder}/liblinnet.a -lm Threads::Threads)
  target_link_options(linnet_whole_archive INTERFACE -Wl,--gc-sections)
  add_library(linnet::whole ALIAS linnet_whole_archive)
endfunction()
