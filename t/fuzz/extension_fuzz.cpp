// Fuzzes the parser of Sec-WebSocket-Extensions and the negotiation.
//
// The input is lines of text. The first byte of the first line chooses
// settings; each other line is a field. Several fields must have the same
// result as one field that joins them. The response must match an offer.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/deflate/extension_reader.hpp"
#include "protocol/deflate/permessage_deflate.hpp"

#include "fuzzing.hpp"

using namespace websocket::protocol;

namespace {

constexpr std::string_view field_name = "Sec-WebSocket-Extensions";

deflate_settings settings_of(unsigned chosen)
{
    return {.enabled = true,
            .window = static_cast<std::uint8_t>(9 + chosen % 7),
            .client_window = static_cast<std::uint8_t>(8 + chosen / 7 % 8),
            .context_takeover = chosen >= 128};
}

// Checks that all parts lie inside the field and are in order.
bool check_parts(std::string_view field)
{
    using part = extension_reader::part;
    extension_reader reader{field};
    const char *at = field.data();
    bool inside_extension = false;

    for (;;) {
        const part found = reader.next();

        if (found == part::end || found == part::malformed) {
            require(reader.next() == found);
            return found == part::end;
        }

        const std::string_view name = reader.name();
        require(!name.empty() && name.data() >= at);
        at = name.data() + name.size();
        require(at <= field.data() + field.size());
        require(found == part::extension || inside_extension);
        inside_extension = true;
        require(found == part::extension || !reader.has_value() ||
                !reader.value().empty());
        require(reader.value().size() <= 8);
    }
}

void check_agreement(const deflate_params &params,
                     const deflate_settings &settings)
{
    const deflate_response answer{params};

    if (!params.agreed) {
        require(params == deflate_params{} && answer.text().empty());
        return;
    }

    require(params.server_window >= 9 &&
            params.server_window <= settings.window);
    require(params.client_window >= 8 && params.client_window <= 15);
    require(params.client_window_answered || params.client_window == 15);
    require(settings.context_takeover ||
            (!params.server_takeover && !params.client_takeover));
    require(check_parts(answer.text()));

    // The response, used as an offer, is accepted unchanged.
    deflate_settings largest{.enabled = true, .context_takeover = true};
    largest.window = params.server_window;
    deflate_negotiation again{largest};
    again.add_header(field_name, answer.text());
    require(again.result() == params);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data,
                                      std::size_t size)
{
    if (size == 0) {
        return 0;
    }

    const deflate_settings settings = settings_of(data[0]);
    const exact_text input(
        {reinterpret_cast<const char *>(data) + 1, size - 1});
    deflate_negotiation separate{settings};
    std::string joined;
    bool correct = true;

    for (std::string_view rest = input.view(); !rest.empty();) {
        const std::string_view line =
            rest.substr(0, std::min(rest.find('\n'), rest.size()));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        const exact_text field(line);

        correct = check_parts(field.view()) && correct;
        separate.add_header(field_name, field.view());
        joined.append(line).append(",");
    }

    check_agreement(separate.result(), settings);
    require(correct || !separate.result().agreed);

    // Joining may make a broken field valid
    if (correct) {
        deflate_negotiation together{settings};
        together.add_header(field_name, joined);
        require(together.result() == separate.result());
    }

    return 0;
}
