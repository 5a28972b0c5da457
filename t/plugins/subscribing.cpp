// A test plug-in whose clients subscribe to further resources: of the same
// handler, whose messages the server delivers, and of another one of this
// library, which delivers them itself.
//
// Text messages are commands: a verb, a key, and the rest.
#include "websocket.hpp"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace {

struct member : websocket::client {
    void answer(const std::string &text) { send_text_message(text); }
};

bool state_throws = false;

struct place {
    place()
    {
        if (std::exchange(state_throws, false)) {
            throw std::runtime_error("thrown in the state");
        }
    }

    std::string since = "none";
    unsigned messages = 0;
};

// Removes the first word.
std::string take_word(std::string_view &text)
{
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string word(text.substr(0, end));

    text.remove_prefix(std::min(end + 1, text.size()));
    return word;
}

void throw_in(std::string_view key, const std::string &where)
{
    if (key == "throw-" + where) {
        throw std::runtime_error("thrown in " + where);
    }
}

// Resources of this worker.
unsigned existing = 0;

// A further resource. Base is an instance of the template `resource`.
template <class Base>
class further : public Base {
public:
    further() { existing++; }
    ~further() override { existing--; }
    further(const further &) = delete;
    further &operator=(const further &) = delete;

    void client_subscribed(member &client, place &state,
                           const websocket::message_id *since) override
    {
        throw_in(this->name(), "subscribed");
        state.since = since == nullptr ? "none" : to_string(*since);
        client.answer("in " + std::string(this->name()));
        this->publish("joined " + std::string(this->name()), {});

        if (this->name() == "leave") {
            client.unsubscribe(this->name());
        } else if (this->name() == "another") {
            client.subscribe("chained");
        } else if (this->name() == "expel") {
            client.close_connection(4000, "expelled");
        }
    }

    void client_unsubscribed(member &client, place &state) override
    {
        client.answer("out of " + std::string(this->name()));
        throw_in(this->name(), "unsubscribed");

        // The test ends it with the client, which none of these may harm
        if (this->name() == "another") {
            client.subscribe("after the end");
            client.unsubscribe("a");
            client.find_subscription<further>("another");
            client.subscription_parameter("another", "x");
            client.template each_subscription<further>(
                [](further &, place &) { return true; });
        }

        state.since = "ended";
    }

    // Ends all subscriptions, and perhaps the resource with them.
    void empty_later()
    {
        this->after(1, [this] {
            this->for_each_subscriber([this](member &each, place &) {
                each.answer("emptied");
                each.unsubscribe(std::string(this->name()));
            });
            emptied_ = !this->name().empty();
        });
    }

    void throw_in_each()
    {
        this->for_each_subscriber([](member &, place &) {
            throw std::runtime_error("thrown in for_each_subscriber");
        });
    }

protected:
    bool emptied_ = false;
};

template <class Further, class Home>
void run(Home &home, member &from, std::string_view text)
{
    const std::string verb = take_word(text);
    const std::string key = take_word(text);
    const auto found = from.find_subscription<Further>(key);

    if (verb == "subscribe") {
        const websocket::message_id since{7, 8};

        from.answer("subscribe: " +
                    std::string(from.subscribe(
                        key, text == "since" ? &since : nullptr)));
    } else if (verb == "throw-state") {
        state_throws = true;
        from.subscribe(key);
    } else if (verb == "unsubscribe") {
        from.answer(from.unsubscribe(key) ? "ended" : "none");
    } else if (verb == "list") {
        std::string names;

        from.each_subscription<Further>([&](Further &each, place &state) {
            names.append(" ").append(each.name()).append("/");
            names.append(state.since);
            return true;
        });
        from.answer("list" + names);
    } else if (verb == "throw-each") {
        from.each_subscription<Further>([](Further &, place &) -> bool {
            throw std::runtime_error("thrown in each_subscription");
        });
    } else if (verb == "parameter") {
        from.answer("parameter " + std::string(from.subscription_parameter(
                                       key, text, "absent")));
    } else if (verb == "to") {
        home.publish_to(
            from, key, websocket::opcode::text, std::as_bytes(std::span(text)),
            {},
            [to = websocket::client_ref(from)](
                const websocket::publish_result &done) {
                if (member *client = to.get()) {
                    client->answer(done.result == websocket::send_result::queued
                                       ? "published"
                                       : "refused");
                }
            });
    } else if (verb == "existing") {
        from.answer("existing " + std::to_string(existing));
    } else if (verb == "close") {
        from.close_connection(4000, key);
        from.subscribe("late");
    } else if (found.resource == nullptr) {
        from.answer("not subscribed");
    } else if (verb == "publish") {
        found.resource->publish(text, {});
    } else if (verb == "empty") {
        found.resource->empty_later();
    } else if (verb == "count") {
        from.answer("clients " +
                    std::to_string(found.resource->client_count()));
    } else if (verb == "throw-all") {
        found.resource->throw_in_each();
    }
}

// The further resources have the handler of the clients.
class alike : public further<websocket::resource<member, place>> {
public:
    void text_message_received(member &from, std::string_view text) override
    {
        run<alike>(*this, from, text);
    }

    void subscription_failed(member &client, std::string_view key,
                             std::string_view reason) override
    {
        client.answer("failed: " + std::string(reason));
        throw_in(key, "failed");
    }
};

// They have another one, which delivers messages itself.
class watched
    : public further<websocket::resource<websocket::client, place, member>> {
public:
    void message_published(const websocket::message &message) override
    {
        for_each_subscriber([&](member &to, place &state) {
            to.answer(std::string(name()) + " " +
                      std::to_string(++state.messages) + ": " +
                      std::string(message.text()));
        });
        throw_in(name(), "published");
    }

    void client_connected(websocket::client &client) override
    {
        client.send_text_message(std::to_string(client_count()));
    }
};

class watching : public websocket::resource<member> {
public:
    using subscribed_type = watched;
    static constexpr char subscribed_name[] = "watched";

    void text_message_received(member &from, std::string_view text) override
    {
        run<watched>(*this, from, text);
    }
};

// The same without its own directive `websocket`.
class unlisted
    : public further<websocket::resource<websocket::client, place, member>> {};

class viewing : public websocket::resource<member> {
public:
    using subscribed_type = unlisted;
    static constexpr char subscribed_name[] = "unlisted";

    void text_message_received(member &from, std::string_view text) override
    {
        run<unlisted>(*this, from, text);
    }
};

WEBSOCKET_HANDLER("alike", alike)
WEBSOCKET_HANDLER("watched", watched)
WEBSOCKET_HANDLER("watching", watching)
WEBSOCKET_HANDLER("viewing", viewing)

} // namespace
