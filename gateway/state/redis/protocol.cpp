#include "gateway/state/redis/protocol.hpp"

#include <hiredis/hiredis.h>
#include <hiredis/read.h>

#include <new>
#include <utility>
#include <vector>

namespace popgate::redis {

namespace {

Reply converted(const redisReply& from) {
    Reply reply;
    switch (from.type) {
        case REDIS_REPLY_INTEGER:
            reply.kind = Reply::Kind::integer;
            reply.integer = from.integer;
            break;
        case REDIS_REPLY_STRING:
        case REDIS_REPLY_STATUS:
        case REDIS_REPLY_ERROR:
            reply.kind = from.type == REDIS_REPLY_ERROR ? Reply::Kind::error : Reply::Kind::text;
            reply.text.assign(from.str, from.len);
            break;
        case REDIS_REPLY_ARRAY:
            reply.kind = Reply::Kind::array;
            reply.elements.reserve(from.elements);
            for (std::size_t i = 0; i < from.elements; ++i) reply.elements.push_back(converted(*from.element[i]));
            break;
        default: break;
    }
    return reply;
}

}  // namespace

std::string formatted(const Command& command) {
    std::vector<const char*> arguments;
    std::vector<std::size_t> lengths;
    for (const auto& argument : command) {
        arguments.push_back(argument.data());
        lengths.push_back(argument.size());
    }
    char* octets = nullptr;
    const auto length =
        redisFormatCommandArgv(&octets, static_cast<int>(command.size()), arguments.data(), lengths.data());
    if (length < 0) throw std::bad_alloc();
    const std::unique_ptr<char, decltype(&redisFreeCommand)> owner(octets, redisFreeCommand);
    return {octets, static_cast<std::size_t>(length)};
}

namespace {

std::string with_run(Command command, const Run& run, const std::string& run_id) {
    command.push_back(std::to_string(run.keys.size()));
    command.insert(command.end(), run.keys.begin(), run.keys.end());
    command.push_back(run_id);
    command.insert(command.end(), run.arguments.begin(), run.arguments.end());
    return formatted(command);
}

}  // namespace

std::string formatted(const Run& run, const std::string& run_id) {
    return with_run(Command{"EVALSHA", run.script->sha1()}, run, run_id);
}

std::string formatted_whole(const Run& run, const std::string& run_id) {
    return with_run(Command{"EVAL", std::string(run.script->text())}, run, run_id);
}

void ReplyReader::Free::operator()(redisReader* reader) const { redisReaderFree(reader); }

ReplyReader::ReplyReader() : reader_(redisReaderCreate()) {
    if (!reader_) throw std::bad_alloc();
}

void ReplyReader::feed(std::string_view octets) { redisReaderFeed(reader_.get(), octets.data(), octets.size()); }

Result<std::optional<Reply>> ReplyReader::next() {
    void* got = nullptr;
    if (redisReaderGetReply(reader_.get(), &got) != REDIS_OK)
        return Error{Errc::temporary, "the state store cannot be understood",
                     std::string("no Redis answers: ") + reader_->errstr};
    if (!got) return std::optional<Reply>();
    const std::unique_ptr<void, decltype(&freeReplyObject)> owner(got, freeReplyObject);
    return std::optional(converted(*static_cast<const redisReply*>(got)));
}

}  // namespace popgate::redis
