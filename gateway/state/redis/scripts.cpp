#include "gateway/state/redis/scripts.hpp"

// Servers before 7.0 let a script that has asked for the time write only when it replicates its effects, which later
// ones always do.
#define POPGATE_NOW                                                     \
    "if redis.replicate_commands then redis.replicate_commands() end\n" \
    "local time = redis.call('TIME')\n"                                 \
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"         \
    "local function text(number) return string.format('%.0f', number) end\n"

// `since`: when the epoch began. A clock that was set back must not make it last longer.
#define POPGATE_EPOCH(key)                                      \
    POPGATE_NOW                                                 \
    "local epoch = redis.call('HMGET', " key                    \
    ", 'run', 'since')\n"                                       \
    "local since = tonumber(epoch[2] or '')\n"                  \
    "if epoch[1] ~= ARGV[1] or not since or since > now then\n" \
    "  since = now\n"                                           \
    "  redis.call('HSET', " key                                 \
    ", 'run', ARGV[1], 'since', text(now))\n"                   \
    "end\n"

namespace popgate::redis::scripts {

const Script greet(POPGATE_EPOCH("KEYS[1]") R"(
local format = redis.call('GET', KEYS[2])
if not format then
  redis.call('SET', KEYS[2], ARGV[2])
elseif format ~= ARGV[2] then
  return redis.error_reply('FORMAT ' .. format)
end
return 1
)");

const Script lock(POPGATE_EPOCH("KEYS[2]") R"(
local life = tonumber(ARGV[3])
local left = redis.call('PTTL', KEYS[1])
if left ~= -2 then return {0, math.max(left, 0)} end
if now < since + life then return {-1, since + life - now} end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return {1, 0}
)");

// In a new epoch it is the server that has forgotten, not the time that has run out: the holder knows the latter.
const Script renew(POPGATE_EPOCH("KEYS[2]") R"(
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[2] then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 1
end
if holder or ARGV[2] == '' or now >= since + tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
)");

const Script unlock(R"(
if redis.call('GET', KEYS[1]) == ARGV[2] then return redis.call('DEL', KEYS[1]) end
return 0
)");

const Script load_mailbox(R"(
local ids = redis.call('HMGET', KEYS[2], 'first', 'generation', 'revision')
return {redis.call('GET', KEYS[1]), ids[1], ids[2], ids[3]}
)");

const Script save_mailbox(R"(
local head = redis.call('GET', KEYS[1])
if (head and string.sub(head, 1, 16) or '') ~= ARGV[2] then return head or 0 end
if ARGV[5] == '1' then redis.call('DEL', KEYS[2]) end
local place = 7
for _ = 1, tonumber(ARGV[6]) do
  redis.call('HSET', KEYS[2], ARGV[place], ARGV[place + 1])
  place = place + 2
end
for i = place, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
redis.call('SET', KEYS[1], ARGV[3])
if not head then redis.call('SADD', KEYS[3], ARGV[4]) end
return 1
)");

const Script forget_mailbox(R"(
local head = redis.call('GET', KEYS[1])
if not head or (ARGV[3] ~= '' and string.sub(head, 1, 16) ~= ARGV[3]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
if redis.call('EXISTS', KEYS[3], KEYS[4]) == 0 then redis.call('SREM', KEYS[5], ARGV[2]) end
return 1
)");

const Script keep_imported(R"(
redis.call('HSET', KEYS[1], 'generation', ARGV[3], 'revision', ARGV[4])
if ARGV[5] == '' then redis.call('DEL', KEYS[2]) else redis.call('SET', KEYS[2], ARGV[5]) end
redis.call('SADD', KEYS[3], ARGV[2])
return 1
)");

const Script keep_first_generation(R"(
redis.call('HSETNX', KEYS[1], 'first', ARGV[3])
redis.call('SADD', KEYS[2], ARGV[2])
return 1
)");

// Counted from the latest retirement before this one where the clock says more: it may be ahead.
const Script keep_retired(R"(
local latest = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if latest[2] then
  local oldest = '(' .. string.format('%.0f', math.min(tonumber(ARGV[3]), tonumber(latest[2])) - tonumber(ARGV[4]))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', oldest)) do redis.call('HDEL', KEYS[1], id) end
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', oldest)
end
for i = 5, #ARGV, 2 do
  local kept = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0')
  if tonumber(ARGV[i + 1]) > kept then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[i])
end
redis.call('SADD', KEYS[3], ARGV[2])
return 1
)");

const Script keep_record(R"(
local stored = redis.call('HGET', KEYS[1], ARGV[2])
if (stored and string.match(stored, '^%d+') or '0') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[4] .. ':' .. ARGV[5])
return 1
)");

const Script erase_record("return redis.call('HDEL', KEYS[1], ARGV[2])");

const Script look_at_logins(R"(
return {redis.call('PTTL', KEYS[1]), redis.call('EXISTS', KEYS[2])}
)");

const Script count_failure(R"(
local count = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return count
)");

const Script hold_up(R"(
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[2]) end
return 1
)");

// What is stored is the time until which logins are paid.
const Script admit(POPGATE_NOW R"(
local interval, burst = tonumber(ARGV[2]), tonumber(ARGV[3])
local paid = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if paid > now + interval * burst then paid = now + interval * burst end
if paid - now > interval * (burst - 1) then return 0 end
redis.call('SET', KEYS[1], text(paid + interval), 'PX', text(paid + interval - now))
return 1
)");

const Script give_back(POPGATE_NOW R"(
local paid = tonumber(redis.call('GET', KEYS[1]) or '0') - tonumber(ARGV[2])
if paid > now then redis.call('SET', KEYS[1], text(paid), 'PX', text(paid - now)) else redis.call('DEL', KEYS[1]) end
return 1
)");

}  // namespace popgate::redis::scripts
