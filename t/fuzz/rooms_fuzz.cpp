// Fuzzes the requests of rooms.v1.json, and compares them with those that
// nlohmann's parser reads.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "handlers/rooms/rooms_json.hpp"
#include "protocol/text/utf8.hpp"

#include "fuzzing.hpp"

using json = nlohmann::json;
using namespace websocket::handlers::rooms_json;

namespace {

// A document must have the member, and it must be that text.
void require_string(const json &document, const char *name,
                    std::string_view text)
{
    require(document.contains(name) && document[name].is_string());
    require(document[name].get<std::string>() == text);
}

void check_lists(const json &document, const request &found)
{
    const char *name =
        found.asks == verb::subscribe ? "subscribe" : "unsubscribe";

    require(document[name].get<std::vector<std::string>>() == found.names);
}

void check_since(const json &document, const request &found)
{
    if (!document.contains("since")) {
        require(found.since.empty());
        return;
    }

    // Several members of this name add up here
    for (const auto &[name, id] : document["since"].items()) {
        const auto it = found.since.find(name);

        require(it != found.since.end() && it->second == id);
    }
}

void check_valid(const json &document, const request &found)
{
    require(found.asks != verb::none);
    check_since(document, found);

    if (found.asks == verb::subscribe || found.asks == verb::unsubscribe) {
        check_lists(document, found);
    }

    if (found.asks == verb::publish) {
        require_string(document, "publish", found.room);
    }

    if (found.asks == verb::publish && found.kind == websocket::opcode::text) {
        require_string(document, "data", found.data);
    }

    if (!found.token.empty()) {
        require_string(document, "token", found.token);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data,
                                      std::size_t size)
{
    // The server checks the text of each message
    if (!websocket::protocol::is_valid_utf8(
            std::as_bytes(std::span(data, size)))) {
        return 0;
    }

    const exact_text input({reinterpret_cast<const char *>(data), size});
    const request found = parse(input.view());

    // JSON has no such byte, but nlohmann's parser ends there
    if (input.view().find('\0') != std::string_view::npos) {
        require(found.error == "not JSON");
        return 0;
    }

    const json document = json::parse(input.view(), nullptr, false);

    require((found.error == "not JSON") == document.is_discarded());

    if (document.is_discarded()) {
        return 0;
    }

    require((found.error == "not an object") == !document.is_object());

    if (!found.ref.empty()) {
        require(json::parse(found.ref) == document["ref"]);
    }

    if (found.error.empty()) {
        check_valid(document, found);
    }

    return 0;
}
