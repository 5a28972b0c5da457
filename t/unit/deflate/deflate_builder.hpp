// A client's side of permessage-deflate: messages compressed in each way of
// zlib, and readers for them.
#pragma once

#include "protocol/messages/message_reader.hpp"

#include "frame_builder.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>

#include <zlib.h>

namespace compression {

namespace protocol = websocket::protocol;

inline constexpr unsigned rsv1 = 0x40;
inline constexpr std::string_view tail{"\0\0\xff\xff", 4};

// The end of a message.
enum class ending {
    flush,       // as in RFC 7692 7.2.1
    final_block, // 7.2.3.4: a block with BFINAL, and the byte after it
    bare         // a block with BFINAL alone
};

// A compressor of zlib, with context takeover unless reset() is called.
class sender {
public:
    explicit sender(int level = 6, int window = 15, int memory = 8,
                    int strategy = Z_DEFAULT_STRATEGY)
    {
        EXPECT_EQ(
            deflateInit2(&zlib_, level, Z_DEFLATED, -window, memory, strategy),
            Z_OK);
    }
    sender(const sender &) = delete;
    sender &operator=(const sender &) = delete;
    ~sender() { deflateEnd(&zlib_); }

    void reset() { deflateReset(&zlib_); }

    // The output of zlib for `text` up to this flush.
    std::string part(std::string_view text, int flush)
    {
        std::string output;
        char some[4096];

        zlib_.next_in =
            reinterpret_cast<Bytef *>(const_cast<char *>(text.data()));
        zlib_.avail_in = static_cast<uInt>(text.size());
        do {
            zlib_.next_out = reinterpret_cast<Bytef *>(some);
            zlib_.avail_out = sizeof some;
            deflate(&zlib_, flush);
            output.append(some, sizeof some - zlib_.avail_out);
        } while (zlib_.avail_out == 0);

        return output;
    }

    // The payload of a message. After a final block, no later message refers to
    // it.
    std::string message(std::string_view text, ending how = ending::flush)
    {
        if (how == ending::flush) {
            std::string output = part(text, Z_SYNC_FLUSH);
            EXPECT_TRUE(output.ends_with(tail));
            output.resize(output.size() - tail.size());
            return output;
        }

        const std::string output = part(text, Z_FINISH);
        reset();
        return how == ending::bare ? output : output + '\0';
    }

private:
    z_stream zlib_{};
};

inline std::string compressed(std::string_view text, ending how = ending::flush)
{
    return sender{}.message(text, how);
}

inline std::string frame(unsigned first, std::string_view payload)
{
    return frames::frame(first | rsv1, payload);
}

// Readers of a client that has negotiated the extension.
template <bool takeover, unsigned window>
class reader : public protocol::message_reader {
public:
    explicit reader(const protocol::message_limits &limits)
        : message_reader{limits}
    {
        accept_compressed({.agreed = true,
                           .client_takeover = takeover,
                           .client_window = window});
    }
};

using lone_reader = reader<false, 15>;
using takeover_reader = reader<true, 15>;

} // namespace compression
