// A test plug-in that sends its history on request. It stops when the client's
// send queue is full, and continues when the queue is drained.
#include "websocket.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace {

struct reader_client : websocket::client {
    websocket::message_id given{};
    bool reads = false;
};

class reader : public websocket::resource<reader_client> {
public:
    reader() { keep_history(20000); }

    void text_message_received(reader_client &from,
                               std::string_view text) override
    {
        if (text == "largest part") {
            from.send_text_message(std::to_string(largest_part_));
            return;
        }

        from.given = {last_message().epoch, 0};
        from.reads = true;
        read_on(from);
    }

    void binary_message_received(reader_client &,
                                 std::span<const std::byte> data) override
    {
        broadcast_binary(data);
    }

    void client_drained(reader_client &to) override
    {
        if (to.reads) {
            read_on(to);
        }
    }

private:
    void read_on(reader_client &to)
    {
        std::size_t part = 0;
        bool more = false;

        read_history(to.given, [&](const websocket::message &next) {
            to.given = next.id;
            part++;
            more = to.send_binary_message(next.data) ==
                   websocket::send_result::backpressure;
            return !more;
        });

        to.reads = more;
        largest_part_ = std::max(largest_part_, part);
    }

    std::size_t largest_part_ = 0;
};

WEBSOCKET_HANDLER("reader", reader)

} // namespace
