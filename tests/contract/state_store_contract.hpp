#pragma once

#include "gateway/state/state_store.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>

namespace popgate {
bool operator==(const MessageInfo& a, const MessageInfo& b);
bool operator==(const StoredMessage& a, const StoredMessage& b);
bool operator==(const StoredHead& a, const StoredHead& b);
void PrintTo(const StoredMessage& message, std::ostream* out);
void PrintTo(const StoredHead& head, std::ostream* out);
}  // namespace popgate

namespace popgate::test {

/// One store of one kind, which several nodes may open.
class StateStoreFixture {
public:
    virtual ~StateStoreFixture() = default;

    /// Another node's way to the same store.
    virtual std::unique_ptr<StateStore> open() = 0;
    /// False for a store that lives in its process.
    virtual bool has_nodes() const { return true; }
};

struct StateStoreKind {
    std::string name;
    std::function<std::unique_ptr<StateStoreFixture>()> make;
};

inline void PrintTo(const StateStoreKind& kind, std::ostream* out) { *out << kind.name; }
inline std::string store_kind_name(const testing::TestParamInfo<StateStoreKind>& info) { return info.param.name; }

/// What the interface promises (gateway/state/state_store.hpp), for every kind alike.
class StateStoreContract : public testing::TestWithParam<StateStoreKind> {
protected:
    std::unique_ptr<StateStoreFixture> fixture = GetParam().make();
    std::unique_ptr<StateStore> store = fixture->open();
};

/// A message as a backend could list it; every third has all that a message can have.
StoredMessage some_message(std::uint32_t number);

/// A change that stores messages `first` to `last` on top of `head`.
MailboxChange adding(const StoredHead& head, std::uint32_t first, std::uint32_t last);

}  // namespace popgate::test
