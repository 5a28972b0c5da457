// The contents of replies of Redis. A null reply has none.
#pragma once

#include "nginx/redis_io/library.hpp"

#include <span>
#include <string_view>

namespace websocket::nginx {

// The error; empty: it is none.
inline std::string_view error_in(const redisReply *reply) noexcept
{
    return reply != nullptr && reply->type == REDIS_REPLY_ERROR
               ? std::string_view{reply->str, reply->len}
               : std::string_view{};
}

// The text; empty: it has none.
inline std::string_view text_in(const redisReply *reply) noexcept
{
    return reply != nullptr && (reply->type == REDIS_REPLY_STRING ||
                                reply->type == REDIS_REPLY_STATUS)
               ? std::string_view{reply->str, reply->len}
               : std::string_view{};
}

// The elements of an array.
inline std::span<redisReply *const> list_in(const redisReply *reply) noexcept
{
    return reply != nullptr && reply->type == REDIS_REPLY_ARRAY
               ? std::span<redisReply *const>{reply->element, reply->elements}
               : std::span<redisReply *const>{};
}

} // namespace websocket::nginx
