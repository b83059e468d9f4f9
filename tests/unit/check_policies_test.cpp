#include "gateway/config/check_policies.hpp"

#include <gtest/gtest.h>

#include <string>

namespace popgate {
namespace {

using namespace std::chrono_literals;

RouteConfig route(std::string match, std::string url) {
    RouteConfig route;
    route.match = std::move(match);
    route.backend.url = std::move(url);
    return route;
}

AccountConfig account(std::string user) {
    AccountConfig account;
    account.user = std::move(user);
    return account;
}

Config with(std::vector<RouteConfig> routes, std::vector<AccountConfig> accounts = {}) {
    Config config;
    config.routes = std::move(routes);
    config.accounts = std::move(accounts);
    return config;
}

/// All of them, a line each.
std::string problems(const Config& config) {
    std::string out;
    for (const ConfigProblem& problem : check_policies(config)) out += problem.to_string() + '\n';
    return out;
}

const std::string imap = "imaps://imap.example.com";
const std::string mbox = "mbox:/var/mail/%u";

TEST(CheckPolicies, ImapTakesEveryPolicy) {
    Config config = with({route("*", imap)});
    for (const auto on_delete :
         {OnDelete::destroy, OnDelete::trash, OnDelete::archive, OnDelete::mark_read, OnDelete::keep}) {
        config.routes[0].policy = {on_delete, 720h, true, {View::Kind::unread, 0}, MessageOrder::newest_first};
        EXPECT_EQ(problems(config), "");
    }
}

TEST(CheckPolicies, MboxNeedsItsFoldersNamed) {
    Config config = with({route("*", mbox)});
    config.routes[0].policy.on_delete = OnDelete::trash;
    EXPECT_EQ(problems(config),
              "route[0].on_delete: \"trash\" needs trash_folder, such as \"/var/mail/%u.trash\": mbox files know no "
              "folders\n");
    config.routes[0].backend.trash_folder = "/var/mail/%u.trash";
    EXPECT_EQ(problems(config), "");
    config.routes[0].policy.on_delete = OnDelete::archive;
    config.routes[0].backend.archive_folder = "/var/mail/%u.archive";
    EXPECT_EQ(problems(config),
              "route[0].trash_folder: warning: has no effect: on_delete is not \"trash\" here, nor for an account\n");
}

TEST(CheckPolicies, MboxHoldsNoReadMarks) {
    Config config = with({route("*", mbox)});
    config.routes[0].policy.view.kind = View::Kind::unread;
    config.routes[0].policy.on_delete = OnDelete::mark_read;
    EXPECT_EQ(
        problems(config),
        "route[0].on_delete: warning: \"mark-read\" only hides, as \"keep\" does: mbox files hold no marks of what "
        "was read\n"
        "route[0].view: \"unread\" cannot be told: mbox files hold no marks of what was read\n");
}

TEST(CheckPolicies, AnAccountMustFitWhereverItsUsersAre) {
    Config config = with({route("*@a.example", imap), route("*", mbox)}, {account("bob@a.example")});
    config.accounts[0].on_delete = OnDelete::trash;
    config.accounts[0].view = View{View::Kind::unread, 0};
    EXPECT_EQ(problems(config), "") << "the first route takes bob";
    config.accounts[0].user = "bob@*";
    EXPECT_EQ(problems(config),
              "account[0].on_delete: \"trash\" needs trash_folder in route[1], such as \"/var/mail/%u.trash\": mbox "
              "files know no "
              "folders\n"
              "account[0].view: \"unread\" cannot be told in route[1]: mbox files hold no marks of what was read\n");
    config.routes[1].backend.trash_folder = "/var/mail/%u.trash";
    config.accounts[0].view.reset();
    EXPECT_EQ(problems(config), "");
}

TEST(CheckPolicies, AnAccountMakesUseOfARoutesFolder) {
    Config config = with({route("*@a.example", imap), route("*", imap)}, {account("bob@a.example")});
    config.accounts[0].on_delete = OnDelete::archive;
    config.routes[0].backend.archive_folder = "Old";
    EXPECT_EQ(problems(config), "");
    config.accounts.insert(config.accounts.begin(), account("bob@*"));
    EXPECT_NE(problems(config).find("route[0].archive_folder: warning: has no effect"), std::string::npos)
        << "the first account takes all users of the second";
    config.accounts.erase(config.accounts.begin());
    std::swap(config.routes[0].backend.archive_folder, config.routes[1].backend.archive_folder);
    EXPECT_EQ(
        problems(config),
        "route[1].archive_folder: warning: has no effect: on_delete is not \"archive\" here, nor for an account\n");
}

TEST(CheckPolicies, AnAccountThatCountsForNobodyIsTold) {
    EXPECT_EQ(problems(with({route("*", imap)}, {account("")})),
              "account[0].user: is missing; \"*\" is for all users\n");
    EXPECT_EQ(problems(with({route("*", imap)}, {account("bob@*"), account("Bob@a.example")})),
              "account[1].user: warning: this account is never used: account[0] takes all its users\n");
    EXPECT_EQ(problems(with({route("*@a.example", imap)}, {account("*@b.example")})),
              "account[0].user: warning: no route takes any of these users\n");
}

TEST(CheckPolicies, MemoryIsToldToForget) {
    Config config = with({route("*", imap)}, {account("bob"), account("ann")});
    config.state.url = "sqlite::memory:";
    EXPECT_EQ(problems(config), "");
    config.routes[0].policy.on_delete = OnDelete::keep;
    config.routes[0].policy.expire_after = 720h;
    config.accounts[0].expire_after = 0ms;
    config.accounts[0].on_delete = OnDelete::mark_read;
    config.accounts[1].delete_only_if_retrieved = true;
    const std::string hidden =
        ".on_delete: warning: what was hidden comes back when popgate ends: state.url is \"sqlite::memory:\"\n";
    const std::string forgotten =
        ": warning: what was retrieved is forgotten when popgate ends: state.url is \"sqlite::memory:\"\n";
    EXPECT_EQ(problems(config), "route[0]" + hidden + "route[0].expire_after" + forgotten + "account[0]" + hidden +
                                    "account[1].delete_only_if_retrieved" + forgotten);
}

TEST(CheckPolicies, ABadStoreIsAnError) {
    Config config = with({route("*", imap)});
    config.state.url = "mysql://host";
    EXPECT_EQ(problems(config),
              "state.url: this version does not have \"mysql:\"; it has \"sqlite:\" and \"redis:\"\n");
}

TEST(CheckPolicies, WhatIsForARedisAlone) {
    Config config = with({route("*", imap)});
    config.state.lock_expiry = 1s;
    config.state.replicas = 1;
    EXPECT_EQ(problems(config),
              "state.lock_expiry: is out of range: 2s to 10m\n"
              "state.replicas: warning: has no effect without a Redis in state.url\n");
    config.state = {"redis://host"};
    EXPECT_EQ(problems(config), "");
    config.state = {"redis+sentinel://host/mail"};
    EXPECT_EQ(problems(config),
              "state.replicas: warning: is 0: a failover may forget locks, accounts and what was deleted\n");
}

}  // namespace
}  // namespace popgate
