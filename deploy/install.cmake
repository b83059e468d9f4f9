# What `cmake --install` puts where, besides the program. /etc is left to the admin and to packages: an installation from
# source must not overwrite a configuration.

set(doc_directory ${CMAKE_INSTALL_DOCDIR})
install(FILES ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${doc_directory})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/ DESTINATION ${doc_directory}/docs)
install(FILES ${PROJECT_SOURCE_DIR}/deploy/debian/popgate.toml DESTINATION ${CMAKE_INSTALL_DATADIR}/popgate)

foreach(name fail2ban haproxy kubernetes kubernetes-fleet logrotate nginx)
  if(EXISTS ${PROJECT_SOURCE_DIR}/deploy/${name})
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/deploy/${name} DESTINATION ${doc_directory}/examples)
  endif()
endforeach()
foreach(name grafana prometheus)
  if(EXISTS ${PROJECT_SOURCE_DIR}/deploy/${name})
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/deploy/${name} DESTINATION ${CMAKE_INSTALL_DATADIR}/popgate)
  endif()
endforeach()

# The units name the program where a package puts it.
file(GLOB units CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/deploy/systemd/popgate*)
foreach(unit ${units})
  get_filename_component(name ${unit} NAME)
  file(READ ${unit} text)
  string(REPLACE "/usr/bin/popgate" "${CMAKE_INSTALL_FULL_BINDIR}/popgate" text "${text}")
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/units/${name} CONTENT "${text}" @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/units/${name} DESTINATION lib/systemd/system)
endforeach()

# The program itself writes the manual pages. A sanitized one is for tests, and one for another machine cannot be run.
find_program(GZIP gzip)
if(GZIP AND NOT CMAKE_CROSSCOMPILING AND NOT POPGATE_SANITIZE)
  set(pages popgate.8 popgate.conf.5)
  set(packed)
  foreach(page ${pages})
    string(REGEX MATCH "[0-9]$" number ${page})
    set(file ${PROJECT_BINARY_DIR}/manual/${page}.gz)
    add_custom_command(OUTPUT ${file}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/manual
      COMMAND popgate manual ${number} > ${PROJECT_BINARY_DIR}/manual/${page}
      COMMAND ${GZIP} -9nf ${PROJECT_BINARY_DIR}/manual/${page}
      DEPENDS popgate VERBATIM COMMENT "Manual page ${page}")
    list(APPEND packed ${file})
    install(FILES ${file} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${number})
  endforeach()
  set(file ${PROJECT_BINARY_DIR}/manual/popgate.toml.5.gz)
  add_custom_command(OUTPUT ${file} COMMAND ${CMAKE_COMMAND} -E create_symlink popgate.conf.5.gz ${file}
    DEPENDS ${packed} VERBATIM)
  install(FILES ${file} DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
  add_custom_target(manual ALL DEPENDS ${packed} ${file})
endif()
