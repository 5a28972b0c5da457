// Members: the users of a scope, found by name and listed in order.
//
// The users of a scope are a skip list in the order of their bytes. Its lowest
// level is primary: one store adds or removes a member. The higher levels, and
// the buckets by which members are found, are derived.
#pragma once

#include "broker/blocks.hpp"
#include "broker/member_types.hpp"
#include "broker/zone.hpp"

#include <array>
#include <optional>
#include <string_view>

namespace websocket::broker::detail {

// The clients of a user on one slot: the slot + 1 in the upper half, their
// number in the lower one. 0: none. A seat without clients is that of a user
// who lingers.
using seat = std::uint64_t;

// The slot of the seat of a user whose process is gone.
constexpr std::uint32_t lost_slot = max_slots;

constexpr seat seat_of(std::uint32_t slot, std::uint32_t clients) noexcept
{
    return seat{slot + 1} << 32 | clients;
}
constexpr std::uint32_t seat_slot(seat which) noexcept
{
    return static_cast<std::uint32_t>(which >> 32) - 1;
}
constexpr std::uint32_t seat_clients(seat which) noexcept
{
    return static_cast<std::uint32_t>(which);
}

// Levels of the skip list. A member is on a level with a quarter of those on
// the level below.
constexpr std::size_t max_levels = 9;

// The name follows the record in its chain.
struct scope_record {
    // Primary.
    index next_in_bucket = 0;
    std::uint32_t hash = 0;
    std::uint16_t name_size = 0;
    std::uint32_t linger = 0; // the grace + 1; 0: users do not linger

    // Derived.
    std::uint32_t users = 0;   // those with clients
    std::uint32_t members = 0; // and those who linger
    std::uint32_t clients = 0; // of all users

    // The first member of each level; only that of level 0 is primary.
    std::array<index, max_levels> first{};
};

// The links of the levels above 0, and then the user, follow the record in its
// chain.
struct member_record {
    // Primary. Further seats are in a list of seat_blocks.
    std::array<seat, 2> seats{};
    index more_seats = 0;
    index scope = 0;
    std::uint32_t hash = 0;
    std::uint16_t user_size = 0;
    std::uint8_t levels = 1;

    // Derived.
    index next_in_bucket = 0;
    index next_lost = 0;
    index previous_lost = 0;

    index next = 0; // primary: in level 0
};

struct seat_block {
    std::array<seat, 15> seats{};
    index next = 0;
};

static_assert(sizeof(scope_record) == 64);
static_assert(sizeof(member_record) == 48,
              "a user of 60 bytes is to fit into one block");
static_assert(sizeof(seat_block) == block_size);

struct scope_name {
    scope_name(const zone &z, std::string_view name) noexcept
        : bytes{std::as_bytes(std::span(name))}, hash{name_hash(z.head->key,
                                                                bytes)}
    {}

    std::span<const std::byte> bytes;
    std::uint64_t hash;
};

// The key for finding a member. The hashes are computed without the lock.
struct member_name {
    member_name(const zone &z, std::string_view of,
                std::string_view name) noexcept
        : scope{z, of}, user{std::as_bytes(std::span(name))},
          hash{name_hash({z.head->key[0] ^ scope.hash, z.head->key[1]}, user)}
    {}

    scope_name scope;
    std::span<const std::byte> user;
    std::uint64_t hash;
};

inline scope_record &scope_at(const zone &z, index at) noexcept
{
    return z.get<scope_record>(at);
}
inline member_record &member_at(const zone &z, index at) noexcept
{
    return z.get<member_record>(at);
}

// The links of all levels of a member.
inline index *levels_of(const zone &z, index at) noexcept
{
    return std::launder(reinterpret_cast<index *>(
        z.block(at) + sizeof(member_record) - sizeof(index)));
}

// The bytes before the user.
inline std::size_t user_offset(const member_record &of) noexcept
{
    return sizeof(member_record) + (of.levels - std::size_t{1}) * sizeof(index);
}

// Find the record; 0: there is none.
index find_scope(const zone &z, const scope_name &name) noexcept;
index find_member(const zone &z, const member_name &name) noexcept;

// For how long users of the scope linger, if they do.
inline std::optional<std::uint32_t> grace_of(const zone &z,
                                             index scope) noexcept
{
    const std::uint32_t linger = scope_at(z, scope).linger;

    return linger != 0 ? std::optional(linger - 1) : std::nullopt;
}

// Creates a member with one client on the slot, and the scope if there is none.
// 0: no memory.
index create_member(zone &z, const member_name &name, std::uint32_t slot,
                    std::uint64_t now) noexcept;

// Removes a member, and the scope with its last one.
void free_member(zone &z, index at, const member_name &name) noexcept;

// Frees memory for blocks of members. False: they would have too much.
bool reserve_members(zone &z, std::size_t blocks, std::uint64_t now) noexcept;

// The first member whose user is greater; 0: there is none.
index member_after(const zone &z, index scope,
                   std::span<const std::byte> user) noexcept;

// Copy as many bytes as fit.
std::string_view copy_user(const zone &z, index at,
                           std::span<char> to) noexcept;
std::string_view copy_scope(const zone &z, index scope,
                            std::span<char> to) noexcept;

// For repair(): marks all scopes and members, removes empty scopes, and
// rebuilds what is derived.
void repair_members(zone &z) noexcept;

} // namespace websocket::broker::detail
