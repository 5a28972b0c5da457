// The mode `idle`: connections without messages, and the server's memory for
// them.
#include "run.hpp"

#include "../server_watch.hpp"

namespace websocket::load {

namespace {

class idle_run final : public run {
public:
    explicit idle_run(const options &given) : run{given} {}

private:
    void open_all() override
    {
        before_ = memory(given_.servers);
        run::open_all();
    }

    void begin() override {}
    void turn_over() override { progress(); }
    bool drained() const override { return true; }

    // Messages of the server, such as a welcome
    void message(connection &, opcode, std::span<const std::byte>) override {}

    void describe(report &to) const override
    {
        if (!given_.servers.empty()) {
            const double grown = memory(given_.servers) - before_;

            to.add("server_memory_before", before_);
            to.add("memory_per_client",
                   grown / static_cast<double>(given_.connections));
        }
    }

    double before_ = 0;
};

} // namespace

std::unique_ptr<run> make_idle(const options &given)
{
    return std::make_unique<idle_run>(given);
}

} // namespace websocket::load
