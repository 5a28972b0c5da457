// The sessions of a worker by the descriptors of their connections: an event
// finds its session in one step. By way of the connection's data it would
// touch the request and its contexts too, which have been cold for long.
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
    // False when there is no memory.
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

    // Of a connection that has one.
    session &operator[](const ngx_connection_t *c) const noexcept
    {
        return *sessions_[static_cast<std::size_t>(c->fd)];
    }

private:
    std::vector<session *> sessions_;
};

} // namespace websocket::nginx
