// The directive `websocket_rooms`: a pattern of names and the parameters of the
// rooms that it fits.
#include "nginx/core/configuration.hpp"
#include "nginx/module/setters.hpp"
#include "nginx/plugin/loader.hpp"
#include "nginx/resource/resource.hpp"

#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

namespace {

constexpr std::string_view variable_characters = "abcdefghijklmnopqrstuvwxyz"
                                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                 "0123456789_";

// Removes a variable, "$name" or "${name}", from the beginning of the text.
// Returns its name, empty if there is none.
std::string_view take_variable(std::string_view &text) noexcept
{
    const bool braces = text.starts_with("${");
    std::string_view name = text.substr(braces ? 2 : 1);
    const std::size_t length =
        std::min(name.find_first_not_of(variable_characters), name.size());

    if (braces && !name.substr(length).starts_with("}")) {
        return {};
    }

    name = name.substr(0, length);
    text.remove_prefix(length + (braces ? 3 : 1));
    return name;
}

// Adds the text, or the variable, at the beginning of `rest` and removes it
// there. False: the name of a variable is wrong, or there is no memory.
bool take_piece(ngx_conf_t *cf, std::string_view &rest,
                std::vector<pattern_piece> &pieces)
{
    if (rest.front() != '$') {
        const std::string_view literal = rest.substr(0, rest.find('$'));

        pieces.push_back({literal, NGX_ERROR});
        rest.remove_prefix(literal.size());
        return true;
    }

    const std::string_view name = take_variable(rest);
    ngx_str_t variable = borrowed(name);
    const ngx_int_t index =
        name.empty() ? NGX_ERROR : ngx_http_get_variable_index(cf, &variable);

    pieces.push_back({{}, index});
    return index != NGX_ERROR;
}

char *invalid_pattern(ngx_conf_t *cf, const ngx_str_t &value)
{
    return invalid_value(cf, value,
                         "a name that may have variables and may end in \"*\"");
}

// Sets the pieces of the pattern. Returns an error for the configuration, or
// null.
char *read_pieces(ngx_conf_t *cf, const ngx_str_t &value, room_pattern &pattern)
{
    std::string_view rest = pattern.text;
    std::vector<pattern_piece> pieces;

    if (rest.find('*') != rest.npos) {
        return invalid_pattern(cf, value);
    }

    while (!rest.empty()) {
        if (!take_piece(cf, rest, pieces)) {
            return invalid_pattern(cf, value);
        }

        pattern.has_variables =
            pattern.has_variables || pieces.back().variable != NGX_ERROR;
    }

    auto *copy = static_cast<pattern_piece *>(
        ngx_palloc(cf->pool, pieces.size() * sizeof(pattern_piece) + 1));

    if (copy == nullptr) {
        return conf_failed();
    }

    std::uninitialized_copy(pieces.begin(), pieces.end(), copy);
    pattern.pieces = {copy, pieces.size()};
    return NGX_CONF_OK;
}

// Null without memory.
template <class T>
T *push(ngx_conf_t *cf, ngx_array_t *&array) noexcept
{
    if (array == nullptr) {
        array = ngx_array_create(cf->pool, 4, sizeof(T));
    }

    return array == nullptr ? nullptr : static_cast<T *>(ngx_array_push(array));
}

char *check(ngx_conf_t *cf, const websocket_handler_t *handler,
            const room_pattern &pattern, broker::limits &history)
{
    const std::string error =
        resource::check(handler, pattern.parameters, history);

    return error.empty()
               ? NGX_CONF_OK
               : conf_error(cf,
                            "invalid parameters in \"websocket_rooms\" "
                            "directive: %s",
                            error.c_str());
}

// The handler of the rooms that clients of `websocket rooms` are subscribed to.
const websocket_handler_t *handler_of_rooms(ngx_conf_t *cf) noexcept
{
    return find_handler(cf, "rooms")->subscribed_handler;
}

} // namespace

char *set_rooms(ngx_conf_t *cf, ngx_command_t *, void *conf)
try {
    auto &location = *static_cast<location_configuration *>(conf);
    const auto args = arguments(cf);
    const std::string_view value = view(args[1]);
    room_pattern pattern{};

    pattern.prefix = value.ends_with('*');
    pattern.text = value.substr(0, value.size() - (pattern.prefix ? 1 : 0));

    if (value.empty()) {
        return invalid_value(cf, args[1], "a name that is not empty");
    }

    if (char *error = read_pieces(cf, args[1], pattern); error != NGX_CONF_OK) {
        return error;
    }

    // No parameter of the configuration has this name
    const named_value first{"*", value};
    const ngx_array_t *parameters =
        read_parameters(cf, args.subspan(2), &first);

    if (parameters == nullptr) {
        return conf_failed();
    }

    pattern.parameters = {static_cast<named_value *>(parameters->elts),
                          parameters->nelts};

    const websocket_handler_t *handler = handler_of_rooms(cf);
    broker::limits history;

    if (char *error = check(cf, handler, pattern, history);
        error != NGX_CONF_OK) {
        return error;
    }

    if (location.room_patterns == NGX_CONF_UNSET_PTR) {
        location.room_patterns = nullptr;
    }

    pattern.terms = static_cast<resource_settings *>(
        ngx_pcalloc(cf->pool, sizeof(resource_settings)));

    auto *slot = push<room_pattern>(cf, location.room_patterns);
    auto *directive = push<pattern_directive>(cf, main_conf(cf)->patterns);

    if (pattern.terms == nullptr || slot == nullptr || directive == nullptr) {
        return conf_failed();
    }

    *slot = pattern;
    *directive = {{.history = history,
                   .key = args[1],
                   .file = cf->conf_file->file.name,
                   .line = cf->conf_file->line},
                  handler,
                  pattern.parameters,
                  pattern.terms};
    return NGX_CONF_OK;

} catch (const std::bad_alloc &) {
    return conf_failed();
}

} // namespace websocket::nginx
