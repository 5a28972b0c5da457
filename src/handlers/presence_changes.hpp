// Who came to a room and left it since its clients were told last.
//
// Names are kept up to a limit, so that a crowd costs little memory; beyond it
// only that there were changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace websocket::handlers {

class presence_changes {
public:
    static constexpr std::size_t max_named = 1024;

    struct change {
        std::uint64_t client;
        bool came;
    };

    // Throws std::bad_alloc; then the change counts, and has no name.
    void add(bool came, std::uint64_t client);

    // So many changes that nobody can name.
    void add_unnamed(bool some_came, bool some_left) noexcept;

    bool empty() const noexcept { return added_ == told_; }
    bool all_named() const noexcept { return added_ - told_ == named_.size(); }

    // How many were ever added: those of before mean nothing to a client that
    // comes now.
    std::uint64_t added() const noexcept { return added_; }

    // The changes since clear() that are after the first `before` ever added.
    // Needs all_named().
    std::span<const change> after(std::uint64_t before) const noexcept;

    // Whether such a change concerns somebody else than the client.
    bool concerns_others(std::uint64_t before,
                         std::uint64_t client) const noexcept;

    // Whether the client is named.
    bool names(std::uint64_t client) const noexcept;

    bool some_came() const noexcept { return came_; }
    bool some_left() const noexcept { return left_; }

    void clear() noexcept;

private:
    std::vector<change> named_;
    std::uint64_t added_ = 0;
    std::uint64_t told_ = 0; // how many were added until clear()
    std::uint64_t last_ = 0; // the client of the last one; 0: unknown
    bool came_ = false;
    bool left_ = false;
};

} // namespace websocket::handlers
