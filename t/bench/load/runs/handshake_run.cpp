// The mode `handshake`: connections are opened, reset and opened again.
#include "run.hpp"

namespace websocket::load {

namespace {

class handshake_run final : public run {
public:
    explicit handshake_run(const options &given)
        : run{given}, to_{at(given.path)}, began_(given.connections)
    {}

private:
    void open_all() override
    {
        while (connections_.size() != given_.connections) {
            add_connection();
        }
    }

    void begin() override
    {
        for (const auto &each : connections_) {
            open_next(*each);
        }
    }

    void open_next(connection &by)
    {
        if (claim(1) != 0) {
            began_[by.number()] = now();
            open_++;
            by.open(to_);
        }
    }

    void opened(connection &of) override
    {
        progress();
        note_cipher(of);
        count(began_[of.number()]);
        open_--;
        of.reset();
        open_next(of);
    }

    void message(connection &, opcode, std::span<const std::byte>) override {}
    bool drained() const override { return open_ == 0; }

    const destination &to_;
    std::vector<std::uint64_t> began_;
    std::size_t open_ = 0;
};

} // namespace

std::unique_ptr<run> make_handshakes(const options &given)
{
    return std::make_unique<handshake_run>(given);
}

} // namespace websocket::load
