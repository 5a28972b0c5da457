// A scope with its first member, and a member, become reachable by one store.
// An empty scope is there for a moment only; repair() removes it.
#include "broker/members.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"
#include "broker/seats.hpp"

#include <algorithm>
#include <bit>

namespace websocket::broker::detail {

namespace {

// The links at which a member is, or would be, in each level.
using level_links = std::array<index *, max_levels>;

// The first links to members that are not less than the user, or, if `after`,
// to those that are greater.
level_links find_links(const zone &z, index scope,
                       std::span<const std::byte> user, bool after) noexcept
{
    level_links found;
    index *levels = scope_at(z, scope).first.data();
    index passed_not = 0; // compared on the level above

    for (std::size_t level = max_levels; level-- > 0;) {
        for (index at = levels[level]; at != passed_not; at = levels[level]) {
            const member_record &member = member_at(z, at);
            const int order = compare_bytes(z, at, user_offset(member),
                                            member.user_size, user);

            if (order > 0 || (order == 0 && !after)) {
                passed_not = at;
                break;
            }

            levels = levels_of(z, at);
        }

        found[level] = &levels[level];
    }

    return found;
}

std::size_t scope_blocks(std::size_t name_size) noexcept
{
    return blocks_for(sizeof(scope_record), name_size);
}

std::size_t member_blocks(const member_record &member) noexcept
{
    return blocks_for(user_offset(member), member.user_size);
}

// Two bits of the hash for each further level.
std::uint8_t levels_for(std::uint64_t hash) noexcept
{
    constexpr std::uint64_t last = std::uint64_t{1} << 2 * (max_levels - 1);

    return static_cast<std::uint8_t>(1 +
                                     std::countr_zero(hash >> 32 | last) / 2);
}

index create_scope(zone &z, const scope_name &name) noexcept
{
    const std::size_t blocks = scope_blocks(name.bytes.size());
    const index at = take_blocks(z, blocks);
    const auto hash = static_cast<std::uint32_t>(name.hash);
    index &bucket = z.scope_bucket_of(hash);

    ::new (z.block(at)) scope_record{
        .next_in_bucket = bucket,
        .hash = hash,
        .name_size = static_cast<std::uint16_t>(name.bytes.size())};
    write_bytes(z, at, sizeof(scope_record), name.bytes);
    WEBSOCKET_FAULT_POINT("scope.written");
    store_ordered(bucket, at);
    WEBSOCKET_FAULT_POINT("scope.linked");
    z.head->member_blocks += static_cast<index>(blocks);
    return at;
}

void free_scope(zone &z, index at) noexcept
{
    const scope_record &scope = scope_at(z, at);
    const std::size_t blocks = scope_blocks(scope.name_size);
    index *link = &z.scope_bucket_of(scope.hash);

    while (*link != at) {
        link = &scope_at(z, *link).next_in_bucket;
    }

    store_ordered(*link, scope.next_in_bucket);
    WEBSOCKET_FAULT_POINT("scope.unlinked");
    z.head->member_blocks -= static_cast<index>(blocks);
    free_blocks(z, at, blocks);
}

void add_to_bucket(zone &z, index at) noexcept
{
    member_record &member = member_at(z, at);
    index &bucket = z.member_bucket_of(member.hash);

    member.next_in_bucket = bucket;
    bucket = at;
}

void remove_from_bucket(zone &z, index at) noexcept
{
    index *link = &z.member_bucket_of(member_at(z, at).hash);

    while (*link != at) {
        link = &member_at(z, *link).next_in_bucket;
    }

    *link = member_at(z, at).next_in_bucket;
}

void link_member(zone &z, index at, const level_links &links) noexcept
{
    const std::size_t count = member_at(z, at).levels;
    index *levels = levels_of(z, at);

    for (std::size_t i = 0; i < count; i++) {
        levels[i] = *links[i];
    }

    WEBSOCKET_FAULT_POINT("member.written");
    store_ordered(*links[0], at);
    WEBSOCKET_FAULT_POINT("member.linked");

    for (std::size_t i = 1; i < count; i++) {
        *links[i] = at;
    }

    add_to_bucket(z, at);
    count_seats(z, at);
}

// Rebuilds the higher levels from the order of level 0.
class level_builder {
public:
    explicit level_builder(scope_record &scope) noexcept
    {
        for (std::size_t i = 1; i < max_levels; i++) {
            scope.first[i] = 0;
            ends_[i] = &scope.first[i];
        }
    }

    void append(const zone &z, index at) noexcept
    {
        index *levels = levels_of(z, at);

        for (std::size_t i = 1; i < member_at(z, at).levels; i++) {
            *ends_[i] = at;
            levels[i] = 0;
            ends_[i] = &levels[i];
        }
    }

private:
    level_links ends_{};
};

void repair_scope(zone &z, index scope_at_index) noexcept
{
    scope_record &scope = scope_at(z, scope_at_index);
    level_builder higher(scope);

    mark_chain(z, scope_at_index);
    z.head->member_blocks += static_cast<index>(scope_blocks(scope.name_size));
    scope.users = 0;
    scope.members = 0;
    scope.clients = 0;

    for (index at = scope.first[0]; at != 0; at = member_at(z, at).next) {
        const member_record &member = member_at(z, at);

        mark_chain(z, at);
        z.head->member_blocks += static_cast<index>(member_blocks(member));

        for (index i = member.more_seats; i != 0;
             i = z.get<seat_block>(i).next) {
            mark(z, i);
            z.head->member_blocks++;
        }

        higher.append(z, at);
        add_to_bucket(z, at);
        count_seats(z, at);
        WEBSOCKET_FAULT_POINT("repair.member");
    }
}

} // namespace

index find_scope(const zone &z, const scope_name &name) noexcept
{
    const auto hash = static_cast<std::uint32_t>(name.hash);
    index at = z.scope_bucket_of(hash);

    for (; at != 0; at = scope_at(z, at).next_in_bucket) {
        const scope_record &scope = scope_at(z, at);

        if (scope.hash == hash && scope.name_size == name.bytes.size() &&
            same_bytes(z, at, sizeof(scope_record), name.bytes)) {
            break;
        }
    }

    return at;
}

index find_member(const zone &z, const member_name &name) noexcept
{
    const auto hash = static_cast<std::uint32_t>(name.hash);
    const index scope = find_scope(z, name.scope);
    index at = scope != 0 ? z.member_bucket_of(hash) : 0;

    for (; at != 0; at = member_at(z, at).next_in_bucket) {
        const member_record &member = member_at(z, at);

        if (member.hash == hash && member.scope == scope &&
            member.user_size == name.user.size() &&
            same_bytes(z, at, user_offset(member), name.user)) {
            break;
        }
    }

    return at;
}

index create_member(zone &z, const member_name &name, std::uint32_t slot,
                    std::uint64_t now) noexcept
{
    member_record record{.seats = {seat_of(slot, 1)},
                         .scope = find_scope(z, name.scope),
                         .hash = static_cast<std::uint32_t>(name.hash),
                         .user_size =
                             static_cast<std::uint16_t>(name.user.size()),
                         .levels = levels_for(name.hash)};
    const std::size_t blocks = member_blocks(record);

    if (!reserve_members(z,
                         blocks + (record.scope == 0
                                       ? scope_blocks(name.scope.bytes.size())
                                       : 0),
                         now)) {
        return 0;
    }

    if (record.scope == 0) {
        record.scope = create_scope(z, name.scope);
    }

    const index at = take_blocks(z, blocks);

    ::new (z.block(at)) member_record(record);
    write_bytes(z, at, user_offset(record), name.user);
    link_member(z, at, find_links(z, record.scope, name.user, false));
    z.head->member_blocks += static_cast<index>(blocks);
    return at;
}

void free_member(zone &z, index at, const member_name &name) noexcept
{
    const member_record &member = member_at(z, at);
    const index scope = member.scope;
    const std::size_t blocks = member_blocks(member);
    const index *levels = levels_of(z, at);
    const level_links links = find_links(z, scope, name.user, false);

    discount_seats(z, at);
    remove_from_bucket(z, at);

    for (std::size_t i = 1; i < member.levels; i++) {
        *links[i] = levels[i];
    }

    WEBSOCKET_FAULT_POINT("member.leaving");
    store_ordered(*links[0], levels[0]);
    WEBSOCKET_FAULT_POINT("member.unlinked");

    for (index i = member.more_seats; i != 0;) {
        const index next = z.get<seat_block>(i).next;

        free_blocks(z, i, 1);
        z.head->member_blocks--;
        i = next;
    }

    free_blocks(z, at, blocks);
    z.head->member_blocks -= static_cast<index>(blocks);

    if (scope_at(z, scope).first[0] == 0) {
        free_scope(z, scope);
    }
}

bool reserve_members(zone &z, std::size_t blocks, std::uint64_t now) noexcept
{
    if (z.head->member_blocks + blocks > z.head->block_count / 4 ||
        !reclaim_blocks(z, blocks, now)) {
        z.head->refused++;
        return false;
    }

    return true;
}

index member_after(const zone &z, index scope,
                   std::span<const std::byte> user) noexcept
{
    return *find_links(z, scope, user, true)[0];
}

std::string_view copy_user(const zone &z, index at, std::span<char> to) noexcept
{
    const member_record &member = member_at(z, at);

    to = to.first(std::min<std::size_t>(to.size(), member.user_size));
    read_bytes(z, at, user_offset(member), std::as_writable_bytes(to));
    return {to.data(), to.size()};
}

std::string_view copy_scope(const zone &z, index at,
                            std::span<char> to) noexcept
{
    to = to.first(std::min<std::size_t>(to.size(), scope_at(z, at).name_size));
    read_bytes(z, at, sizeof(scope_record), std::as_writable_bytes(to));
    return {to.data(), to.size()};
}

void repair_members(zone &z) noexcept
{
    header &head = *z.head;

    head.member_blocks = 0;
    head.members = 0;
    store_ordered(head.lost_first, 0);
    head.lost_last = 0;
    std::fill_n(z.member_buckets, head.bucket_count, 0);

    for (std::uint32_t i = 0; i < head.slot_count; i++) {
        z.slots[i].seats = 0;
    }

    for (std::uint32_t i = 0; i < head.bucket_count; i++) {
        index *link = &z.scope_buckets[i];

        while (*link != 0) {
            scope_record &scope = scope_at(z, *link);

            if (scope.first[0] == 0) {
                store_ordered(*link, scope.next_in_bucket);
                WEBSOCKET_FAULT_POINT("repair.scope");
                continue;
            }

            repair_scope(z, *link);
            link = &scope.next_in_bucket;
        }
    }
}

} // namespace websocket::broker::detail
