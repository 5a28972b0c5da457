// A handler that replies from a thread. "slow" waits until the file in the
// parameter `gate` exists, "throw" throws, "full" waits and throws, and any
// other text is sent back.
#include "websocket.hpp"

#include <filesystem>
#include <fstream>
#include <new>
#include <stdexcept>
#include <thread>

#include <unistd.h>

struct worker : websocket::resource<> {
    worker()
    {
        if (name() == "begins" || name() == "fails") {
            wait_aside("begun");
        }
        if (name() == "fails") {
            throw std::runtime_error("no such worker");
        }
    }

    ~worker() override
    {
        if (name() == "ends" && !wait_aside("ended")) {
            log(websocket::log_level::notice, "ended without work");
        }
        log(websocket::log_level::notice, "destroyed");
    }

    void client_disconnected(websocket::client &, std::uint16_t,
                             std::string_view) override
    {
        if (name() == "leaves") {
            log(websocket::log_level::notice,
                wait_aside("left") ? "job taken" : "job refused");
        }
    }

    void text_message_received(websocket::client &from,
                               std::string_view text) override
    {
        const std::string wanted(text);
        const std::string gate(parameter("gate"));
        const websocket::client_ref<websocket::client> ref(from);
        const auto loop = std::this_thread::get_id();
        const auto aside = std::make_shared<bool>(false);

        if (name() == "chain") {
            begin_again();
        }

        run_in_background(
            [=] {
                *aside = std::this_thread::get_id() != loop;
                if (wanted == "slow" || wanted == "full") {
                    std::ofstream(gate + ".begun", std::ios::app) << '.';
                }
                if (wanted == "throw") {
                    throw std::runtime_error("no such work");
                }
                while (wanted == "full") { // without an allocation
                    if (access(gate.c_str(), F_OK) == 0) {
                        throw std::bad_alloc();
                    }
                }
                while (wanted == "slow" && !std::filesystem::exists(gate)) {
                    std::this_thread::yield();
                }
            },
            [=, this] {
                log(websocket::log_level::notice, "done " + wanted);
                if (auto *to = ref.get()) {
                    to->send_text_message((*aside ? "aside " : "here ") +
                                          wanted);
                }
            });
    }

private:
    void begin_again()
    {
        run_in_background([] { std::this_thread::yield(); },
                          [this] { begin_again(); });
    }

    // Each discarded job appends a byte to the file `gate`.over.
    bool wait_aside(const std::string &text)
    {
        const std::string gate(parameter("gate"));
        const std::shared_ptr<const char> dropped("", [gate](const char *) {
            std::ofstream(gate + ".over", std::ios::app) << '.';
        });

        return run_in_background(
            [gate] {
                while (!std::filesystem::exists(gate)) {
                    std::this_thread::yield();
                }
            },
            [=, this] {
                log(websocket::log_level::notice, text);
                (void)dropped;
            });
    }
};

WEBSOCKET_HANDLER("worker", worker)
