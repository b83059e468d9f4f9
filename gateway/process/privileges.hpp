#pragma once

#include "backends/errors.hpp"

#include <string>

namespace popgate {

/// PAM's unix_chkpwd is one: whoever checks passwords by PAM must allow them.
enum class SetuidPrograms { forbidden, allowed };

/// Started as root, the process becomes `user`, with his groups, and keeps no capability but that of binding ports
/// below 1024 (which stays for later listeners), where it had that; no child gets any. It can neither become root again
/// nor be traced, and dumps no core. "": `popgate` if there is such a user, else it stays root and the log says so
/// (`running_as_root`). "root": it stays root. Started as somebody else it only sees to it that children get no
/// capability. Call it before any thread is started, and before any file is opened that must be opened again later.
/// Errc::permanent: no such user, or the system refused; the text names which. The process must end then: what has
/// been given up by that time is not taken back.
Status drop_privileges(const std::string& user, SetuidPrograms programs);

/// From now on this thread, and those that it starts, can execute no program (Landlock), nor get rights by one. For
/// good. Where there is no Landlock (a kernel before 5.13, one where it is switched off, a filter that does not know
/// it) only the latter holds. Errc::permanent as above.
Status forbid_programs();

}  // namespace popgate
