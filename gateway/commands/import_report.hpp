#pragma once

#include "gateway/commands/import_plan.hpp"
#include "gateway/commands/import_uids.hpp"

namespace popgate::commands {

/// Says what an import has found and whether it is `written`, as words or as one JSON document.
void report_import(const ImportRequest& request, const OldMaildrop& old_maildrop, const NewMailbox& new_mailbox,
                   const ImportPlan& plan, bool written, Console& console);

}  // namespace popgate::commands
