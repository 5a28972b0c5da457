// Parses requests of clients of rooms.v1.json. Lists of names are short; other
// members may be as large as a message.
#include "handlers/json_scanner.hpp"
#include "handlers/object_scanner.hpp"
#include "handlers/rooms/rooms_json.hpp"

#include <openssl/evp.h>

#include <utility>

namespace websocket::handlers::rooms_json {

namespace {

// Bytes of all lists of names of a request, and of all its "since".
constexpr std::size_t max_list = 64 * 1024;

// Strict: the standard alphabet, with padding and nothing else.
bool decode_base64(std::string_view text, std::string &to)
{
    constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::size_t padding = text.ends_with("==")  ? 2
                                : text.ends_with("=") ? 1
                                                      : 0;

    if (text.size() % 4 != 0 ||
        text.substr(0, text.size() - padding).find_first_not_of(alphabet) !=
            text.npos) {
        return false;
    }

    to.resize(text.size() / 4 * 3);
    EVP_DecodeBlock(reinterpret_cast<unsigned char *>(to.data()),
                    reinterpret_cast<const unsigned char *>(text.data()),
                    static_cast<int>(text.size()));
    to.resize(to.size() - padding);
    return true;
}

// False: the JSON is no list of strings.
bool read_strings(std::string_view json, std::vector<std::string> &to)
{
    json_scanner scanner(json);

    if (!scanner.take('[')) {
        return false;
    }

    scanner.skip_space();

    if (scanner.next() == ']') {
        return true;
    }

    do {
        std::string text;

        scanner.skip_space();

        if (scanner.next() != '"' || !scanner.string(&text)) {
            return false;
        }

        to.push_back(std::move(text));
        scanner.skip_space();
    } while (scanner.take(','));

    return true;
}

// The strings of an object, by their names.
class id_members final : public object_scanner::members {
public:
    using map = std::map<std::string, std::string, std::less<>>;

    explicit id_members(map &to) noexcept : to_{to} {}

    std::string *target(std::string_view) override { return &id_; }

    void found(std::string_view name, std::string_view, bool is_string) override
    {
        valid = valid && is_string;
        to_.insert_or_assign(std::string(name), id_);
    }

    bool valid = true; // all are strings

private:
    map &to_;
    std::string id_;
};

class request_members final : public object_scanner::members {
public:
    std::string *target(std::string_view name) override
    {
        return name == "publish" || name == "presence" ? &result.room
               : name == "data" || name == "base64"    ? &result.data
               : name == "token"                       ? &result.token
               : name == "after"                       ? &result.after
                                                       : nullptr;
    }

    void found(std::string_view name, std::string_view value,
               bool is_string) override
    {
        if (name == "subscribe") {
            ask(verb::subscribe);
            read_names(name, value);
        } else if (name == "unsubscribe") {
            ask(verb::unsubscribe);
            read_names(name, value);
        } else if (name == "publish") {
            ask(verb::publish);
            check_string(name, is_string);
        } else if (name == "presence") {
            ask(verb::presence);
            check_string(name, is_string);
        } else if (name == "ping") {
            ask(verb::ping);
        } else if (name == "data" || name == "base64") {
            contents_++;
            result.kind = name == "data" ? opcode::text : opcode::binary;
            check_string(name, is_string);
        } else if (name == "token") {
            has_token_ = true;
            check_string(name, is_string);
        } else if (name == "since") {
            read_since(value);
        } else if (name == "ref") {
            result.ref = value;
        }
    }

    void check()
    {
        if (result.asks == verb::none && has_token_) {
            result.asks = verb::token;
        }

        if (result.asks == verb::none) {
            fail("no request: subscribe, unsubscribe, publish, presence, token "
                 "or ping");
        } else if (result.asks == verb::publish && contents_ == 0) {
            fail("no data");
        } else if (contents_ > 1) {
            fail("both data and base64");
        } else if (result.kind == opcode::binary && !decode()) {
            fail("base64 is not valid");
        }
    }

    request result;

private:
    void ask(verb what)
    {
        if (result.asks != verb::none) {
            fail("more than one request");
        }

        result.asks = what;
    }

    // The first error is reported.
    void fail(std::string_view error)
    {
        if (result.error.empty()) {
            result.error = error;
        }
    }

    void check_string(std::string_view name, bool is_string)
    {
        if (!is_string) {
            fail(std::string(name) + " is not a string");
        }
    }

    void read_names(std::string_view name, std::string_view value)
    {
        names_size_ += value.size();

        if (names_size_ > max_list || !read_strings(value, result.names)) {
            fail(std::string(name) +
                 " is not a list of names, of at most 64 KB");
        }
    }

    void read_since(std::string_view value)
    {
        id_members ids(result.since);
        object_scanner object(value, ids);

        since_size_ += value.size();

        if (since_size_ > max_list || !object.scan() || !object.is_object() ||
            !ids.valid) {
            fail("since is not an object with ids, of at most 64 KB");
        }
    }

    bool decode()
    {
        const std::string text = std::move(result.data);

        return decode_base64(text, result.data);
    }

    std::size_t names_size_ = 0; // of the lists
    std::size_t since_size_ = 0;
    bool has_token_ = false;
    int contents_ = 0; // members with data
};

} // namespace

request parse(std::string_view text)
{
    request_members found;
    object_scanner document(text, found);

    if (!document.scan()) {
        return {.error = "not JSON"};
    }

    if (!document.is_object()) {
        return {.error = "not an object"};
    }

    found.check();
    return std::move(found.result);
}

} // namespace websocket::handlers::rooms_json
