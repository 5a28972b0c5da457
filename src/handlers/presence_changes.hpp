// Clients and users that joined and left a room since the last presence
// messages.
//
// Up to max_named changes are kept with their clients. Beyond that, changes are
// only counted, which limits the memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::handlers {

class presence_changes {
public:
    static constexpr std::size_t max_named = 1024;

    struct change {
        std::uint64_t client;
        bool joined;      // else it left
        std::string user; // empty: the client alone
    };

    // Throws std::bad_alloc; then the change is counted without its client.
    void add(bool joined, std::uint64_t client, std::string_view user = {});

    // Adds one change of unknown clients.
    void add_unnamed(bool any_joined, bool any_left) noexcept;

    bool empty() const noexcept { return added_ == cleared_; }
    bool all_named() const noexcept
    {
        return added_ - cleared_ == named_.size();
    }

    // The number of changes ever added. A client that joins now is concerned by
    // later ones alone.
    std::uint64_t added() const noexcept { return added_; }

    // The changes since clear(), without the first `before` ever added. Needs
    // all_named().
    std::span<const change> after(std::uint64_t before) const noexcept;

    // True if such a change concerns a client other than this one.
    bool concerns_others(std::uint64_t before,
                         std::uint64_t client) const noexcept;

    // True if a named change concerns the client or its user.
    bool names(std::uint64_t client, std::string_view user = {}) const noexcept;

    bool any_joined() const noexcept { return joined_; }
    bool any_left() const noexcept { return left_; }

    void clear() noexcept;

private:
    std::vector<change> named_;
    std::uint64_t added_ = 0;
    std::uint64_t cleared_ = 0; // the value of added_ at clear()
    std::uint64_t last_ = 0;    // client of the last change; 0: unknown
    bool joined_ = false;
    bool left_ = false;
};

} // namespace websocket::handlers
