#include "gateway/observe/process.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>

namespace popgate {

namespace {

double in_seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::uint64_t resident_pages() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t total = 0;
    std::uint64_t resident = 0;
    return file >> total >> resident ? resident : 0;
}

std::uint64_t open_descriptors() {
    std::error_code error;
    std::uint64_t count = 0;
    for (std::filesystem::directory_iterator each("/proc/self/fd", error), end; !error && each != end;
         each.increment(error))
        ++count;
    return count > 0 ? count - 1 : 0;  // one is the look itself
}

}  // namespace

ProcessUse used_by_process() {
    ProcessUse use;
    if (rusage used{}; ::getrusage(RUSAGE_SELF, &used) == 0)
        use.cpu_seconds = in_seconds(used.ru_utime) + in_seconds(used.ru_stime);
    use.resident_bytes = resident_pages() * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    use.descriptors = open_descriptors();
    if (rlimit limit{}; ::getrlimit(RLIMIT_NOFILE, &limit) == 0) use.most_descriptors = limit.rlim_cur;
    return use;
}

}  // namespace popgate
