#include "gateway/commands/index_mailbox.hpp"

#include "gateway/commands/mailbox_commands.hpp"
#include "gateway/commands/progress.hpp"

#include <boost/json/object.hpp>

#include <optional>
#include <ostream>
#include <string>

namespace popgate::commands {

int index_mailbox(Fiber& fiber, StateStore& store, const Backend& backend, const IndexBuild& build, Console& console) {
    IndexProgress last;
    const auto built = [&] {
        Progress progress("messages", 0, console.progress);
        return build_index(fiber, store, backend, build, [&](const IndexProgress& now) {
            last = now;
            progress.set(now.messages, now.total());
        });
    }();
    const bool is_whole = built.has_value();
    if (console.json) {
        print_json(console.out, boost::json::object{{"user", json_string(build.user)},
                                                    {"mailbox", json_string(build.key)},
                                                    {"messages", last.messages},
                                                    {"still_to_come", last.still_to_come},
                                                    {"whole", is_whole}});
    } else if (is_whole) {
        console.out << plain(build.user) << ": " << last.messages << " messages\n";
    } else if (last.total() > 0) {
        console.out << plain(build.user) << ": " << last.messages << " of " << last.total()
                    << " messages so far; the next run goes on there\n";
    }
    return is_whole ? exit_done : fail(console, built.error());
}

}  // namespace popgate::commands
