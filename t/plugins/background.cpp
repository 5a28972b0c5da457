// A handler whose answers come from a thread: "slow" blocks until the file in
// the parameter `gate` is there, "throw" throws, anything else is answered.
#include "websocket.hpp"

#include <filesystem>
#include <stdexcept>
#include <thread>

struct worker : websocket::resource<> {
    void text_message_received(websocket::client &from,
                               std::string_view text) override
    {
        const std::string wanted(text);
        const std::string gate(parameter("gate"));
        const websocket::client_ref<websocket::client> ref(from);
        const auto loop = std::this_thread::get_id();
        const auto aside = std::make_shared<bool>(false);

        run_in_background(
            [=] {
                *aside = std::this_thread::get_id() != loop;
                if (wanted == "throw") {
                    throw std::runtime_error("no such work");
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
};

WEBSOCKET_HANDLER("worker", worker)
