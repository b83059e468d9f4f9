#pragma once

#include "gateway/state/redis/client.hpp"

namespace popgate::redis::scripts {

// Each works on keys of one bucket. ARGV[1] is the server's run id in all of them.
//
// The bucket's epoch says since when its server is the one that it is, and has not been emptied. Whatever was locked
// before may have been forgotten with it, so nothing new is locked until what was held then has run out.

/// KEYS: epoch, format. ARGV: format. Begins an epoch where there is none, or one of another server. An error where the
/// bucket is of another format.
extern const Script greet;

/// KEYS: lock, epoch. ARGV: token, milliseconds. {1, 0}: locked; {0, milliseconds}: somebody else has it for so long at
/// least; {-1, milliseconds}: nothing is locked before that.
extern const Script lock;
/// KEYS: lock, epoch. ARGV: token (empty: none), milliseconds. 1: it is still held, now for so long; 0: it is not.
extern const Script renew;
/// KEYS: lock. ARGV: token.
extern const Script unlock;

/// KEYS: head, ids. {head, first generation, imported generation, revision of the imported ids}; nil for what is not.
extern const Script load_mailbox;
/// KEYS: head, chunks, mailboxes. ARGV: identity of the head that is replaced (empty: none), the new head, mailbox, "1"
/// to forget all chunks first, a number n, n times a chunk's number and octets, then numbers of chunks that go. 1; or,
/// with nothing done, the head that is there, or 0 without one.
extern const Script save_mailbox;
/// KEYS: head, chunks, ids, retired, mailboxes. ARGV: mailbox, identity of the head (empty: any). 1 when there was a
/// head.
extern const Script forget_mailbox;

/// KEYS: ids, imported, mailboxes. ARGV: mailbox, generation, revision, octets (empty: no ids).
extern const Script keep_imported;
/// KEYS: ids, mailboxes. ARGV: mailbox, generation.
extern const Script keep_first_generation;
/// KEYS: retired, their ages, mailboxes. ARGV: mailbox, now, seconds they are kept, then an id and a count each.
extern const Script keep_retired;

/// KEYS: records. ARGV: name, expected revision, new revision, octets. 1, or 0 where it has another revision.
extern const Script keep_record;

/// KEYS: records. ARGV: name. 1 when there was one.
extern const Script erase_record;

/// KEYS: wait, failures. {milliseconds left of the wait, whether there are failures}.
extern const Script look_at_logins;
/// KEYS: name. ARGV: milliseconds of memory. The count.
extern const Script count_failure;
/// KEYS: name. ARGV: milliseconds.
extern const Script hold_up;
/// KEYS: name. ARGV: interval in milliseconds, burst. 1 or 0.
extern const Script admit;
/// KEYS: name. ARGV: interval.
extern const Script give_back;

}  // namespace popgate::redis::scripts
