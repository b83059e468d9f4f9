# The Debian package: `cmake --build --preset release --target package`, or `cpack --preset deb` after a build.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME popgate)
set(CPACK_PACKAGE_VENDOR "the popgate authors")
set(CPACK_PACKAGE_CONTACT "The popgate authors <popgate@popgate.example>" CACHE STRING
  "Name and address of whoever makes packages")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "POP3 server in front of IMAP, HTTP and local mailboxes")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
  "Clients that speak only POP3 log in as ever; popgate turns each session into
calls on the place where the mail really is: an IMAP server, a JMAP server,
Gmail, Microsoft 365, another HTTP API, a Maildir or an mbox.
.
A message is removed there only after a QUIT, and a fault is never shown as
an empty or shortened mailbox.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SECTION mail)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, init-system-helpers (>= 1.54~)")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "fail2ban, logrotate, prometheus")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(POPGATE_DEBIAN ${CMAKE_CURRENT_LIST_DIR})
set(conffiles /etc/popgate/popgate.toml)
if(EXISTS ${PROJECT_SOURCE_DIR}/deploy/logrotate/popgate)
  list(APPEND conffiles /etc/logrotate.d/popgate)
endif()
list(JOIN conffiles "\n" conffiles)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/debian/conffiles CONTENT "${conffiles}\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${POPGATE_DEBIAN}/postinst ${POPGATE_DEBIAN}/prerm ${POPGATE_DEBIAN}/postrm
  ${PROJECT_BINARY_DIR}/debian/conffiles)

# What is in the package only: /etc, and what Debian wants to be there.
set(CPACK_PRE_BUILD_SCRIPTS ${POPGATE_DEBIAN}/stage.cmake)
set(CPACK_POPGATE_DEPLOY ${PROJECT_SOURCE_DIR}/deploy)
set(CPACK_POPGATE_DATE ${POPGATE_VERSION_DATE})
include(CPack)
