// Parses requests of clients of room.v1.json.
#include "handlers/object_scanner.hpp"
#include "handlers/room_json.hpp"

#include <utility>

namespace websocket::handlers::room_json {

namespace {

class request_members final : public object_scanner::members {
public:
    std::string *target(std::string_view name) override
    {
        return name == "data"    ? &result.data
               : name == "token" ? &result.token
                                 : nullptr;
    }

    void found(std::string_view name, std::string_view value,
               bool is_string) override
    {
        if (name == "data") {
            data = is_string ? kind::text : kind::other;
        } else if (name == "ref") {
            result.ref = value;
        } else if (name == "ping") {
            result.ping = true;
        }
    }

    enum class kind { none, text, other };

    request result;
    kind data = kind::none;
};

} // namespace

request parse(std::string_view text)
{
    request_members found;
    object_scanner document(text, found);
    request &result = found.result;

    if (!document.scan()) {
        return {.error = "not JSON"};
    }

    // A request with data is neither a ping nor a token
    const bool has_data = found.data != request_members::kind::none;

    result.ping = result.ping && !has_data;

    if (has_data || result.ping) {
        result.token.clear();
    }

    result.error = !document.is_object()   ? "not an object"
                   : result.ping           ? ""
                   : !result.token.empty() ? ""
                   : !has_data             ? "no data"
                   : found.data == request_members::kind::other
                       ? "data is not a string"
                       : "";
    return std::move(result);
}

} // namespace websocket::handlers::room_json
