# Half of what a file of ours takes to compile is the headers of others. They are compiled once for each set of options.
# A header of ours in here would have everything compiled anew with it.
set(headers
  <algorithm> <array> <atomic> <charconv> <chrono> <filesystem> <fstream> <functional> <iostream> <list> <map> <memory>
  <mutex> <optional> <random> <set> <sstream> <stdexcept> <string> <string_view> <system_error> <thread> <tuple>
  <unordered_map> <unordered_set> <utility> <variant> <vector>
  <boost/asio/io_context.hpp> <boost/asio/ip/tcp.hpp> <boost/asio/post.hpp> <boost/asio/spawn.hpp>
  <boost/asio/steady_timer.hpp> <boost/asio/write.hpp>
  <boost/json/array.hpp> <boost/json/object.hpp> <boost/json/parse.hpp> <boost/json/serialize.hpp>
  <boost/json/value.hpp> <boost/system/result.hpp> <openssl/evp.h>)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/precompiled.cpp CONTENT "")

foreach(kind plain fuzzed tests)
  add_library(precompiled_${kind} OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
  target_link_libraries(precompiled_${kind} PRIVATE popgate_flags Boost::json Boost::url Boost::context OpenSSL::SSL)
  target_precompile_headers(precompiled_${kind} PRIVATE ${headers})
  target_compile_options(precompiled_${kind} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")  # or ccache finds nothing again
endforeach()
target_compile_options(precompiled_fuzzed PRIVATE -fsanitize=fuzzer-no-link)
target_link_libraries(precompiled_tests PRIVATE GTest::gtest)
target_precompile_headers(precompiled_tests PRIVATE <gtest/gtest.h>)

function(use_precompiled folder)
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    get_target_property(libraries ${target} LINK_LIBRARIES)
    get_target_property(options ${target} COMPILE_OPTIONS)
    if(NOT type MATCHES "EXECUTABLE|STATIC_LIBRARY|OBJECT_LIBRARY" OR options MATCHES "-O1" OR target MATCHES "^precompiled_")
      continue()
    elseif(options MATCHES "fuzzer")
      target_precompile_headers(${target} REUSE_FROM precompiled_fuzzed)
    elseif(libraries MATCHES "GTest")
      target_precompile_headers(${target} REUSE_FROM precompiled_tests)
    else()
      target_precompile_headers(${target} REUSE_FROM precompiled_plain)
    endif()
  endforeach()
  get_property(folders DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
  foreach(inner IN LISTS folders)
    use_precompiled(${inner})
  endforeach()
endfunction()
use_precompiled(${PROJECT_SOURCE_DIR})
