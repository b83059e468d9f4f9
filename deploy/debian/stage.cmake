# Run by CPack between the installation into a folder of its own and the making of the package.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(from ${CPACK_POPGATE_DEPLOY})
set(doc ${root}/usr/share/doc/popgate)

function(place source target)
  get_filename_component(folder ${target} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  configure_file(${source} ${target} COPYONLY)
  file(CHMOD ${target} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endfunction()

function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

place(${from}/debian/popgate.toml ${root}/etc/popgate/popgate.toml)
place(${from}/debian/copyright ${doc}/copyright)
place(${from}/debian/changelog ${doc}/changelog.Debian)
place(${from}/debian/lintian-overrides ${root}/usr/share/lintian/overrides/popgate)
if(EXISTS ${from}/logrotate/popgate)
  place(${from}/logrotate/popgate ${root}/etc/logrotate.d/popgate)
endif()
file(GLOB units ${from}/systemd/popgate*)
foreach(unit ${units})
  get_filename_component(name ${unit} NAME)
  place(${unit} ${root}/usr/lib/systemd/system/${name})
endforeach()

run(gzip -9nf ${doc}/changelog.Debian)
run(find ${root} -type d -exec chmod 755 {} +)
# The same build gives the same package, whenever it is made: also CPack's own files bear that date.
run(find ${root} -exec touch -h -d ${CPACK_POPGATE_DATE}T00:00:00Z {} +)
execute_process(COMMAND date -u -d ${CPACK_POPGATE_DATE} +%s OUTPUT_VARIABLE epoch OUTPUT_STRIP_TRAILING_WHITESPACE
  COMMAND_ERROR_IS_FATAL ANY)
set(ENV{SOURCE_DATE_EPOCH} ${epoch})
