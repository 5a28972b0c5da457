// Counts clients and users of this worker in the shared memory. Those for which
// there is no space are counted later, when there is.
#pragma once

#include "broker/member_types.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace websocket::nginx::member_counts {

// Called when a process starts, and when it ends.
void start() noexcept;
void stop() noexcept;

// One more client of the member, as broker::add_member. With no_memory it is
// counted later. Throws std::bad_alloc.
broker::added_member add(std::string_view scope, std::string_view member,
                         std::uint64_t client,
                         std::optional<std::uint32_t> grace = std::nullopt);

// The same for a client that must not be counted yet. Throws std::bad_alloc.
void add_later(std::string_view scope, std::string_view member,
               std::uint64_t client);

// One client less, as broker::remove_member: first of those that are not
// counted yet. Throws std::bad_alloc.
broker::removed_member remove(std::string_view scope, std::string_view member,
                              std::uint64_t client);

// A member with a grace has been counted. `client` is one of its clients; 0: it
// has left meanwhile.
using counted_late = void (*)(std::string_view scope, std::string_view member,
                              std::uint64_t client,
                              const broker::added_member &added);

// Counts some of those that are left. Returns whether more may be counted at
// once. Throws std::bad_alloc.
bool count_waiting(counted_late on_counted);

} // namespace websocket::nginx::member_counts
