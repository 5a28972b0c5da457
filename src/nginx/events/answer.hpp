// The answer of a backend to an event.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx::backend {

// Compares names of header fields.
inline bool is_same_name(std::string_view a, std::string_view b) noexcept
{
    return a.size() == b.size() &&
           ngx_strncasecmp(borrowed(a).data, borrowed(b).data, a.size()) == 0;
}

struct answer {
    enum class outcome : std::uint8_t {
        unfinished, // the request ended without a whole answer
        whole,
        too_large, // the body exceeds the limit
        timed_out,
        no_memory,
    };

    struct field {
        std::string name; // as the backend wrote it
        std::string value;
    };

    outcome result = outcome::unfinished;
    ngx_uint_t status = 0; // 0: none
    bool lost = false; // the backend got the event; the answer is nginx's own
    std::string content_type;
    std::string body;
    std::vector<field> fields;

    bool accepts() const noexcept
    {
        return result == outcome::whole && succeeded();
    }

    // Whether the backend may have accepted: also if its answer is late or not
    // whole. The answer follows a status below 200, after which nginx may end.
    bool may_accept() const noexcept
    {
        return lost ||
               (status < 200 ? result != outcome::no_memory : succeeded());
    }

    // The first field of this name, in any case; null: none.
    const field *find(std::string_view name) const noexcept;

private:
    bool succeeded() const noexcept { return status >= 200 && status < 300; }
};

} // namespace websocket::nginx::backend
