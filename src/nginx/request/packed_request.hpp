// The texts of a request in one block: an index, and behind it the text.
//
// The index has for each field, and then for each variable that has a value,
// where its text is. Its numbers are those of varint.hpp:
//
//     field       size + 1, or 0 if there is none; offset
//     variable    its index less the one before; size + 2, or 0 if it is left
//                 to the end, 1 if it is absent; offset
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

// What the index has in place of a variable's size.
inline constexpr std::size_t code_at_end = 0;
inline constexpr std::size_t code_absent = 1;
inline constexpr std::size_t code_empty_value = 2; // and its size

// The numbers of nginx's captures that are those of the whole match.
inline constexpr std::size_t whole_match = 2;

struct packed_request {
    std::string content;
    std::size_t index_size;
};

// Packs the fields of a request and these variables. Throws std::bad_alloc.
packed_request pack_request(ngx_http_request_t *r, std::string_view key,
                            std::string_view subprotocol,
                            const std::vector<saved_variable> &variables);

} // namespace websocket::nginx
