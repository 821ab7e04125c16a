# What `cmake --install` puts where: headers, both libraries, the CMake package, the pkg-config file, the command.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/linnet)

install(TARGETS linnet_shared linnet_static EXPORT linnetTargets)
if(TARGET linnet_quantize_shared)
  install(TARGETS linnet_quantize_shared linnet_quantize_static EXPORT linnetTargets)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/linnet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT linnetTargets NAMESPACE linnet:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/linnetConfig.cmake.in ${PROJECT_BINARY_DIR}/linnetConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/linnetConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/linnetConfig.cmake ${PROJECT_BINARY_DIR}/linnetConfigVersion.cmake
        DESTINATION ${package_dir})
# The file finds the rest from where it lies, wherever that is.
file(RELATIVE_PATH up_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/cmake/linnet.pc.in ${PROJECT_BINARY_DIR}/linnet.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/linnet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(TARGET linnet)
  install(TARGETS linnet)
  # What `linnet shrink` builds from.
  set(source_dir ${CMAKE_INSTALL_DATADIR}/linnet/source)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/cmake ${PROJECT_SOURCE_DIR}/schema
                    ${PROJECT_SOURCE_DIR}/examples DESTINATION ${source_dir})
  install(FILES ${PROJECT_SOURCE_DIR}/CMakeLists.txt ${PROJECT_SOURCE_DIR}/CMakePresets.json DESTINATION ${source_dir})
  install(FILES ${PROJECT_SOURCE_DIR}/tools/size.py DESTINATION ${source_dir}/tools)
endif()
