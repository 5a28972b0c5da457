// The users that linger on this worker: their last client has left a resource,
// and may return for a while.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

namespace websocket::nginx {

class lingering_users {
public:
    // Ends a user, unless a client has returned. False: no memory, the user
    // lingers on.
    using end_function = bool (*)(std::string_view scope, std::string_view user,
                                  std::uint64_t client) noexcept;

    // After an attempt for which there was no memory.
    static constexpr std::uint32_t retry_interval = 1000; // ms

    explicit lingering_users(end_function end) noexcept;
    ~lingering_users();

    lingering_users(const lingering_users &) = delete;
    lingering_users &operator=(const lingering_users &) = delete;

    // Once more for the same user: only the new time counts. A user lingers in
    // `limit` scopes: with one more, that of the earliest call ends at once, so
    // that a client that goes from one resource to the next fills no memory.
    // Throws std::bad_alloc.
    void add(std::string_view scope, std::string_view user,
             std::uint64_t client, std::uint32_t grace, std::size_t limit);

private:
    struct lingering;
    using user_map = std::unordered_map<std::string, lingering>;
    using end_map = std::multimap<ngx_msec_t, user_map::value_type *>;

    // The scopes of one user, in the order of the calls of add().
    struct user_scopes : ngx_queue_t {
        std::size_t count = 0;
    };

    using scopes_map = std::unordered_map<std::string, user_scopes>;

    // The queue is a link in the list of its user.
    struct lingering : ngx_queue_t {
        std::size_t scope_size = 0;
        std::uint64_t client = 0; // the last one
        end_map::iterator end{};
        scopes_map::value_type *among = nullptr; // null: in no list
    };

    static void on_timer(ngx_event_t *event) noexcept;
    void start_timer() noexcept;
    void list(user_map::value_type &added, std::string_view user,
              ngx_msec_t end);
    void unlist(lingering &removed) noexcept;
    bool end_one(const user_map::value_type &ended) noexcept;
    void end_due() noexcept;

    end_function end_user_;
    user_map users_; // by scope and user
    scopes_map scopes_of_;
    end_map ends_;
    ngx_event_t timer_{};
};

} // namespace websocket::nginx
