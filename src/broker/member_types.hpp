// Parameters and results for members: see broker::add_member.
#pragma once

#include "broker/types.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace websocket::broker {

constexpr std::size_t max_user_size = 256; // bytes

struct added_member {
    // done, no_memory, gone (no such slot), or name_too_long (also if the user
    // is empty). Unless done, nothing has changed.
    outcome result = outcome::gone;

    std::uint32_t clients = 0; // of the user in the scope, on all slots

    // The user had no client in the scope and did not linger there.
    bool was_absent = false;
};

struct removed_member {
    // done, or gone: the slot has no client of this user in the scope.
    outcome result = outcome::gone;

    // The clients that are left on all slots. 0: the user lingers or is gone.
    std::uint32_t clients = 0;

    // The user lingers because of the scope's grace: to be ended after so many
    // milliseconds.
    std::optional<std::uint32_t> grace;
};

// A user that end_member was called for.
struct ended_member {
    bool ended = false;     // the user is gone
    append_result appended; // the entry; no_memory: the user lingers on
};

struct counted_scope {
    std::uint32_t users = 0;   // with clients
    std::uint32_t members = 0; // and those who linger
    std::uint32_t clients = 0; // of all users
    bool lingers = false;      // the scope has a grace
};

struct counted_member {
    std::uint32_t clients = 0; // on all slots
    slot_set slots;            // those with clients
    bool lingers = false;      // clients are 0, and the user is not gone
};

// A user that list_members found. The name lies in the bytes of the page.
struct listed_member {
    std::string_view user;
    std::uint32_t clients = 0; // 0: the user lingers
};

// Buffers of the caller for a list: at least max_user_size bytes and one
// member.
struct member_page {
    std::span<char> bytes;
    std::span<listed_member> members;
};

struct listed_members {
    std::size_t count = 0; // members listed
    bool more = false;     // there are further ones
};

// A user that lingers because a process has ended.
struct lost_member {
    std::string_view scope; // this and the user lie in the given buffers
    std::string_view user;
    std::optional<std::uint32_t> grace; // of the scope, in milliseconds
};

} // namespace websocket::broker
