// The mode `fan-out`: publishers send messages, and all subscribers get all of
// them in one order.
#include "run.hpp"

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace websocket::load {

namespace {

class fan_out_run final : public run {
public:
    explicit fan_out_run(const options &given)
        : run{given}, code_{given.text ? opcode::text : opcode::binary},
          own_publishers_{!given.publish_path.empty()},
          publishers_(given.publishers),
          order_(given.publishers * given.in_flight),
          received_(given.connections)
    {
        for (publisher &each : publishers_) {
            each.sent_at.resize(given.in_flight);
        }
    }

private:
    struct publisher {
        std::uint64_t sent = 0;
        std::uint64_t ordered = 0;  // received by at least one subscriber
        std::uint64_t complete = 0; // received by all subscribers
        std::vector<std::uint64_t> sent_at;
    };

    // A position in the order of all messages. Its first receiver determines
    // the message.
    struct ordered_message {
        std::size_t author = 0;
        std::uint64_t number = 0;
        std::size_t missing = 0; // subscribers that have not received it
    };

    // Subscribers come first. Publishers are among them or follow them.
    connection &publishing(std::size_t author)
    {
        return *connections_[own_publishers_ ? given_.connections + author
                                             : author];
    }

    void open_all() override;
    void opened(connection &of) override;
    std::optional<std::span<const std::byte>>
    payload_in(const connection &to, std::span<const std::byte> object);
    void prepare() override;
    void begin() override { turn_over(); }
    void turn_over() override;
    void message(connection &to, opcode code,
                 std::span<const std::byte> payload) override;
    ordered_message &determine(const connection &to,
                               std::span<const std::byte> payload);
    void complete(const ordered_message &of);
    void describe(report &to) const override;
    bool drained() const override { return open_ == 0; }

    opcode code_;
    bool own_publishers_;
    std::vector<prepared_messages> messages_;
    std::vector<publisher> publishers_;
    std::vector<ordered_message> order_;  // by position, as a ring
    std::uint64_t determined_ = 0;        // positions
    std::vector<std::uint64_t> received_; // positions, by subscriber
    std::size_t subscribed_ = 0;          // subscribers to all rooms
    std::size_t open_ = 0;                // messages not received by all
    std::uint64_t done_ = 0;
    bool owing_ = true; // messages are still to be sent
};

// The worker of the first publisher determines on which workers subscribers are
// accepted.
void fan_out_run::open_all()
{
    const std::size_t all =
        given_.connections + (own_publishers_ ? given_.publishers : 0);

    while (connections_.size() != all) {
        add_connection();
    }

    std::size_t first = 0;

    if (own_publishers_) {
        open(given_.connections, all,
             at(given_.publish_path, given_.publish_port, !given_.objects));
    } else {
        open(0, given_.publishers, at(given_.path));
        first = given_.publishers;
    }

    if (given_.subscribers != placement::any) {
        const long worker = publishing(0).agreed().worker;

        if (worker == 0) {
            throw std::runtime_error("the response has no header X-Worker");
        }

        wanted = [this, worker](const connection &of) {
            return (of.agreed().worker == worker) ==
                   (given_.subscribers == placement::same_worker);
        };
    }

    open(first, given_.connections, at_subscribers());
    await([this] {
        return given_.rooms == 0 || subscribed_ == given_.connections;
    });
    progress();
}

void fan_out_run::opened(connection &of)
{
    if (given_.rooms != 0 && of.number() < given_.connections) {
        std::string object = R"({"subscribe":[)";

        for (std::size_t i = 0; i != given_.rooms; i++) {
            object.append(i == 0 ? "" : ",")
                .append(R"("room-)")
                .append(std::to_string(i))
                .append("\"");
        }

        of.send_first(object.append("]}"));
    }

    run::opened(of);
}

// The payload of an object that has one.
std::optional<std::span<const std::byte>>
fan_out_run::payload_in(const connection &to, std::span<const std::byte> object)
{
    const std::string_view text{reinterpret_cast<const char *>(object.data()),
                                object.size()};

    if (text.starts_with(R"({"type":"welcome")")) {
        return std::nullopt;
    }

    if (text.starts_with(R"({"type":"subscribed")")) {
        if (text.find(R"("refused":{})") == text.npos) {
            wrong(to, "the server refused a room");
        }
        subscribed_++;
        return std::nullopt;
    }

    constexpr std::string_view member = R"("data":")";
    const std::size_t found = text.find(member);

    if (!text.starts_with(R"({"type":"message")") || found == text.npos ||
        text.size() - found - member.size() < given_.size) {
        wrong(to,
              ("not a message: " + std::string(text.substr(0, 80))).c_str());
    }

    return object.subspan(found + member.size(), given_.size);
}

void fan_out_run::prepare()
{
    for (std::size_t i = 0; i != publishers_.size(); i++) {
        messages_.emplace_back(message_plan{.author = i,
                                            .in_flight = given_.in_flight,
                                            .size = given_.size,
                                            .code = code_,
                                            .deflate = deflate_agreed()});
    }
}

void fan_out_run::turn_over()
{
    if (!owing_) {
        return;
    }

    owing_ = false;

    for (std::size_t i = 0; i != publishers_.size(); i++) {
        publisher &by = publishers_[i];
        const std::size_t count =
            claim(given_.in_flight - (by.sent - by.complete));

        if (count == 0) {
            continue;
        }

        const std::uint64_t time = now();

        for (std::size_t k = 0; k != count; k++) {
            by.sent_at[by.sent++ % given_.in_flight] = time;
        }

        open_ += count;
        publishing(i).send(messages_[i], count);
    }
}

void fan_out_run::message(connection &to, opcode code,
                          std::span<const std::byte> payload)
{
    if (to.number() >= given_.connections) {
        return; // replies to a publisher
    }

    if (given_.objects) {
        const auto found = payload_in(to, payload);

        if (!found) {
            return;
        }
        payload = *found;
    }

    const std::uint64_t position = received_[to.number()]++;
    ordered_message &of = position == determined_
                              ? determine(to, payload)
                              : order_[position % order_.size()];
    const auto expected = messages_[of.author].expected(of.number);

    if (code != code_ || !same_bytes(payload, expected)) {
        wrong(to, "a message is not that of another subscriber");
    }

    progress_by_read();
    count(publishers_[of.author].sent_at[of.number % given_.in_flight]);

    if (--of.missing == 0) {
        complete(of);
    }
}

fan_out_run::ordered_message &
fan_out_run::determine(const connection &to, std::span<const std::byte> payload)
{
    const auto found = read_signature(payload);

    if (!found || found->author >= publishers_.size()) {
        wrong(to, "a message of no publisher was received");
    }

    publisher &by = publishers_[found->author];

    if (by.ordered == by.sent ||
        found->index != by.ordered % messages_[found->author].count()) {
        wrong(to, "a message is not the next one of its publisher");
    }

    ordered_message &next = order_[determined_++ % order_.size()];

    next = {found->author, by.ordered++, given_.connections};
    return next;
}

void fan_out_run::complete(const ordered_message &of)
{
    publishers_[of.author].complete++;
    done_++;
    open_--;
    owing_ = true;
}

void fan_out_run::describe(report &to) const
{
    to.add("publishers", static_cast<double>(given_.publishers));
    to.add("messages", static_cast<double>(done_));
}

} // namespace

std::unique_ptr<run> make_fan_out(const options &given)
{
    return std::make_unique<fan_out_run>(given);
}

} // namespace websocket::load
