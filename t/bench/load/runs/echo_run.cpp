// The mode `echo`: each connection sends messages and gets the same ones back,
// in order.
#include "run.hpp"

namespace websocket::load {

namespace {

class echo_run final : public run {
public:
    explicit echo_run(const options &given)
        : run{given}, code_{given.text ? opcode::text : opcode::binary},
          peers_(given.connections)
    {
        for (peer &each : peers_) {
            each.sent_at.resize(given.in_flight);
        }
    }

private:
    // Adjacent connections send different messages, so that replies to the
    // wrong connection are detected.
    static constexpr std::size_t rings = 3;

    struct peer {
        std::uint64_t sent = 0;
        std::uint64_t received = 0;
        std::vector<std::uint64_t> sent_at; // by number, as a ring
    };

    const prepared_messages &ring_of(const connection &of) const
    {
        return messages_[of.number() % rings];
    }

    void prepare() override
    {
        for (std::size_t i = 0; i != rings; i++) {
            messages_.emplace_back(message_plan{.author = i,
                                                .in_flight = given_.in_flight,
                                                .size = given_.size,
                                                .code = code_,
                                                .echoed_as_bytes = given_.raw,
                                                .deflate = deflate_agreed()});
        }
    }

    void begin() override
    {
        for (const auto &each : connections_) {
            send(*each);
        }
    }

    void send(connection &by)
    {
        peer &of = peers_[by.number()];
        const std::size_t open = of.sent - of.received;
        const std::size_t count = claim(given_.in_flight - open);

        if (count == 0) {
            return;
        }

        const std::uint64_t time = now();

        for (std::size_t i = 0; i != count; i++) {
            of.sent_at[of.sent++ % given_.in_flight] = time;
        }

        open_ += count;
        by.send(ring_of(by), count);
    }

    void message(connection &from, opcode code,
                 std::span<const std::byte> payload) override
    {
        peer &of = peers_[from.number()];
        const auto expected = ring_of(from).expected(of.received);

        if (of.received == of.sent) {
            wrong(from, "more messages came back than were sent");
        }

        if (code != code_ || !same_bytes(payload, expected)) {
            wrong(from, "a message came back changed");
        }

        progress_by_read();
        count(of.sent_at[of.received % given_.in_flight]);
        of.received++;
        open_--;
    }

    void read_through(connection &of) override { send(of); }
    bool drained() const override { return open_ == 0; }

    opcode code_;
    std::vector<prepared_messages> messages_;
    std::vector<peer> peers_;
    std::size_t open_ = 0; // messages without a reply so far
};

} // namespace

std::unique_ptr<run> make_echo(const options &given)
{
    return std::make_unique<echo_run>(given);
}

} // namespace websocket::load
