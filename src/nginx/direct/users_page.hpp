// A page of the users of a scope, and the page of several hosts.
#pragma once

#include "nginx/direct/direct_format.hpp"
#include "sdk/websocket_text.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace websocket::nginx {

// The first users after some user, in the order of their bytes. All hosts have
// the same limit: so the first users of all are on the pages of the hosts.
class users_page {
public:
    explicit users_page(std::size_t limit) noexcept : limit_{limit} {}

    // Throws std::bad_alloc, as read() and write().
    void add(std::string_view user, std::uint32_t clients)
    {
        const auto found = users_.find(user);

        if (found != users_.end()) {
            found->second += clients;
        } else {
            users_.emplace(std::string(user), clients);
        }

        if (users_.size() > limit_) {
            users_.erase(std::prev(users_.end()));
            more_ = true;
        }
    }

    // There are users after the page.
    void set_more() noexcept { more_ = true; }

    // Of the scope, also those without a user.
    void add_clients(std::uint64_t clients) noexcept { clients_ += clients; }

    std::uint64_t clients() const noexcept { return clients_; }
    bool more() const noexcept { return more_; }
    const std::map<std::string, std::uint32_t, std::less<>> &
    users() const noexcept
    {
        return users_;
    }

    std::string write() const
    {
        std::string text;

        write_part(text, std::to_string(clients_));
        write_part(text, more_ ? "1" : "0");

        for (const auto &[user, clients] : users_) {
            write_part(text, user);
            write_part(text, std::to_string(clients));
        }

        return text;
    }

    // Adds the page of a host. False: the text is of another form.
    bool read(std::string_view text)
    {
        const auto clients = take_part(text);
        const auto more = clients ? take_part(text) : std::nullopt;

        if (!more || !detail::decimal(*clients)) {
            return false;
        }

        clients_ += *detail::decimal(*clients);
        more_ = more_ || *more == "1";

        while (!text.empty()) {
            const auto user = take_part(text);
            const auto number = user ? take_part(text) : std::nullopt;
            const auto its = number ? detail::decimal(*number) : std::nullopt;

            if (!its) {
                return false;
            }

            add(*user, static_cast<std::uint32_t>(*its));
        }

        return true;
    }

private:
    static void write_part(std::string &to, std::string_view part)
    {
        to.append(std::to_string(part.size())).append(":").append(part);
    }

    const std::size_t limit_;
    std::map<std::string, std::uint32_t, std::less<>> users_;
    std::uint64_t clients_ = 0;
    bool more_ = false;
};

} // namespace websocket::nginx
