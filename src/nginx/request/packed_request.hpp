// The layout of a saved request: an index, followed by the text.
//
// The index has an entry for each field and then for each saved variable, in
// varints (see varint.hpp):
//
//     field       size + 1, or 0 without the field; offset
//     variable    index less the index before; code; offset
//
// The code of a variable is 0 if it is evaluated at the end, 1 if it is absent,
// otherwise its size + 2.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/request/saved_request.hpp"
#include "nginx/request/saved_variables.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

inline constexpr auto field_count =
    static_cast<std::size_t>(saved_request::field::count);

// The codes of a variable in the index.
inline constexpr std::size_t code_at_end = 0;
inline constexpr std::size_t code_absent = 1;
inline constexpr std::size_t code_empty_value = 2; // plus the size

// The number of nginx's capture offsets that belong to the whole match.
inline constexpr std::size_t whole_match = 2;

struct packed_request {
    std::string content;
    std::size_t index_size;
};

// Packs the fields of a request and the given variables. Throws std::bad_alloc.
packed_request pack_request(ngx_http_request_t *r, std::string_view key,
                            std::string_view subprotocol,
                            const std::vector<saved_variable> &variables);

} // namespace websocket::nginx
