// Maps connections to sessions, by descriptor. Event handlers use it instead of
// the connection's data, which would load the request and its contexts into the
// cache.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <algorithm>
#include <cstddef>
#include <new>
#include <vector>

namespace websocket::nginx {

class session;

class session_table {
public:
    // False without memory.
    [[nodiscard]] bool set(const ngx_connection_t *c, session &added) noexcept
    try {
        const auto index = static_cast<std::size_t>(c->fd);

        if (index >= sessions_.size()) {
            sessions_.resize(std::max(index + 1, 2 * sessions_.size()));
        }

        sessions_[index] = &added;
        return true;

    } catch (const std::bad_alloc &) {
        return false;
    }

    void remove(const ngx_connection_t *c, const session &ended) noexcept
    {
        const auto index = static_cast<std::size_t>(c->fd);

        if (index < sessions_.size() && sessions_[index] == &ended) {
            sessions_[index] = nullptr;
        }
    }

    // The connection must have a session.
    session &operator[](const ngx_connection_t *c) const noexcept
    {
        return *sessions_[static_cast<std::size_t>(c->fd)];
    }

private:
    std::vector<session *> sessions_;
};

} // namespace websocket::nginx
