// Reads and writes the objects of room.v1.json.
#include "handlers/room_json.hpp"

#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

namespace websocket::handlers::room_json {

namespace {

// Lends text to the parser and says how far it has read.
class observed_text {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char *;
    using reference = const char &;

    observed_text(const char *at, const char *&reached) noexcept
        : at_{at}, reached_{&reached}
    {}

    reference operator*() const noexcept { return *at_; }
    observed_text &operator++() noexcept
    {
        *reached_ = ++at_;
        return *this;
    }
    observed_text operator++(int) noexcept
    {
        observed_text before = *this;
        ++*this;
        return before;
    }
    bool operator==(const observed_text &other) const noexcept
    {
        return at_ == other.at_;
    }

private:
    const char *at_;
    const char **reached_;
};

// What stands between a member's name and the end of its value, and one
// character more if the parser saw a number's end by it, cut to the value.
std::string_view value_in(std::string_view text, bool number)
{
    text.remove_prefix(text.find(':') + 1);
    text.remove_prefix(text.find_first_not_of(" \t\r\n"));

    return number ? text.substr(0, text.find_last_of("0123456789") + 1) : text;
}

// Takes what the parser tells. No value is built but "data", so that depth
// costs nothing; "ref" is a piece of the text itself.
class request_reader {
public:
    explicit request_reader(const char *&reached) noexcept : reached_{reached}
    {}

    bool null() { return value(false); }
    bool boolean(bool) { return value(false); }
    bool number_integer(std::int64_t) { return value(true); }
    bool number_unsigned(std::uint64_t) { return value(true); }
    bool number_float(double, const std::string &) { return value(true); }
    bool binary(nlohmann::json::binary_t &) { return value(false); }

    bool string(std::string &text)
    {
        if (depth_ == 1 && member_ == member::data) {
            made_.data = std::move(text);
            data_ = kind::text;
            return true;
        }

        return value(false);
    }

    bool start_object(std::size_t)
    {
        object_ = object_ || depth_ == 0;
        depth_++;
        return true;
    }
    bool end_object() { return end(); }
    bool start_array(std::size_t)
    {
        depth_++;
        return true;
    }
    bool end_array() { return end(); }

    bool key(const std::string &name)
    {
        if (depth_ == 1) {
            member_ = name == "data"  ? member::data
                      : name == "ref" ? member::ref
                                      : member::other;
            made_.ping = made_.ping || name == "ping";
            named_ = reached_;
        }

        return true;
    }

    bool parse_error(std::size_t, const std::string &,
                     const nlohmann::json::exception &)
    {
        return false;
    }

    request result(bool parsed)
    {
        if (!parsed) {
            return {.error = "not JSON"};
        }

        // A request with data is not a ping
        made_.ping = made_.ping && data_ == kind::none;
        made_.error = !object_               ? "not an object"
                      : made_.ping           ? ""
                      : data_ == kind::none  ? "no data"
                      : data_ == kind::other ? "data is not a string"
                                             : "";
        return std::move(made_);
    }

private:
    enum class member { data, ref, other };
    enum class kind { none, text, other };

    bool end()
    {
        depth_--;
        return value(false);
    }

    // One has ended.
    bool value(bool number)
    {
        if (depth_ != 1) {
            return true;
        }

        if (member_ == member::data) {
            data_ = kind::other;

        } else if (member_ == member::ref) {
            made_.ref = value_in({named_, reached_}, number);
        }

        return true;
    }

    const char *&reached_;
    const char *named_ = nullptr; // the end of the member's name
    request made_;
    std::size_t depth_ = 0;
    member member_ = member::other;
    kind data_ = kind::none;
    bool object_ = false;
};

constexpr char hex[] = "0123456789abcdef";

// Of one character that may not stand in a JSON string (RFC 8259 7).
void append_escaped(std::string &to, char character)
{
    constexpr std::string_view short_of = "\"\\\b\f\n\r\t";
    constexpr std::string_view short_form = "\"\\bfnrt";
    const std::size_t known = short_of.find(character);

    to += '\\';

    if (known != short_of.npos) {
        to += short_form[known];
        return;
    }

    const auto byte = static_cast<unsigned char>(character);

    to.append("u00");
    to += hex[byte >> 4];
    to += hex[byte & 15];
}

void append_text(std::string &to, std::string_view text)
{
    to += '"';

    while (!text.empty()) {
        const auto plain = static_cast<std::size_t>(
            std::find_if(text.begin(), text.end(),
                         [](char each) {
                             return static_cast<unsigned char>(each) < ' ' ||
                                    each == '"' || each == '\\';
                         }) -
            text.begin());

        to.append(text.substr(0, plain));
        text.remove_prefix(plain);

        if (!text.empty()) {
            append_escaped(to, text.front());
            text.remove_prefix(1);
        }
    }

    to += '"';
}

void append_base64(std::string &to, std::span<const std::byte> data)
{
    // OpenSSL counts in int; without a rest of three there is no padding
    constexpr std::size_t most = 3 * 64 * 1024;

    to += '"';

    while (!data.empty()) {
        const auto part = data.first(std::min(most, data.size()));
        const std::size_t end = to.size();
        const std::size_t length = (part.size() + 2) / 3 * 4;

        to.resize(end + length + 1); // it writes a zero behind
        EVP_EncodeBlock(reinterpret_cast<unsigned char *>(to.data() + end),
                        reinterpret_cast<const unsigned char *>(part.data()),
                        static_cast<int>(part.size()));
        to.pop_back();
        data = data.subspan(part.size());
    }

    to += '"';
}

void append_id(std::string &to, message_id id)
{
    to.append("\"").append(to_string(id)).append("\"");
}

void append_client(std::string &to, std::uint64_t client)
{
    to.append(client == 0 ? "null" : std::to_string(client));
}

void append_ref(std::string &to, std::string_view ref)
{
    if (!ref.empty()) {
        to.append(",\"ref\":").append(ref);
    }
}

} // namespace

request parse(std::string_view text)
{
    const char *begin = text.data();
    const char *reached = begin;
    request_reader reader(reached);
    const bool parsed = nlohmann::json::sax_parse(
        observed_text(begin, reached),
        observed_text(begin + text.size(), reached), &reader);

    return reader.result(parsed);
}

std::string quoted(std::string_view text)
{
    return nlohmann::json(text).dump(-1, ' ', false,
                                     nlohmann::json::error_handler_t::replace);
}

std::string welcome(const greeting &words)
{
    std::string made = R"({"type":"welcome","client":)";

    append_client(made, words.client);
    made.append(",\"room\":").append(words.room).append(",\"last\":");
    append_id(made, words.last);
    made.append(",\"clients\":").append(std::to_string(words.clients));
    made.append(",\"recovered\":").append(words.recovered ? "true" : "false");
    return made += '}';
}

std::string published_message(const message &given)
{
    std::string made;

    made.reserve(given.data.size() * 4 / 3 + 128);
    made.append(R"({"type":"message","id":)");
    append_id(made, given.id);
    made.append(",\"time\":").append(std::to_string(given.time));
    made.append(",\"from\":");
    append_client(made, given.from);

    if (given.kind == opcode::text) {
        made.append(",\"data\":");
        append_text(made, given.text());
    } else {
        made.append(",\"base64\":");
        append_base64(made, given.data);
    }

    return made += '}';
}

std::string presence(std::string_view type, std::uint64_t client,
                     std::uint64_t clients)
{
    std::string made = "{\"type\":\"";

    made.append(type).append("\",\"client\":");
    append_client(made, client);
    made.append(",\"clients\":").append(std::to_string(clients));
    return made += '}';
}

std::string published(std::string_view ref, message_id id)
{
    std::string made = "{\"type\":\"published\"";

    append_ref(made, ref);
    made.append(",\"id\":");
    append_id(made, id);
    return made += '}';
}

std::string pong(std::string_view ref)
{
    std::string made = R"({"type":"pong")";

    append_ref(made, ref);
    return made += '}';
}

std::string error(std::string_view ref, std::string_view words)
{
    std::string made = "{\"type\":\"error\"";

    append_ref(made, ref);
    made.append(",\"message\":\"").append(words).append("\"");
    return made += '}';
}

} // namespace websocket::handlers::room_json
