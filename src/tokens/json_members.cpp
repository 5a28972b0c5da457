// Reads the members of an object or array with the events of nlohmann's parser.
// It builds no tree: the destructors of the library's trees allocate.
#include "tokens/json_members.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace websocket::tokens {

namespace {

using json = nlohmann::json;

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

std::string quoted_string(std::string_view text)
{
    return json(text).dump();
}

// A value inside of a member is written as JSON again.
class member_reader final : public nlohmann::json_sax<json> {
public:
    explicit member_reader(json_kind root) noexcept : root_{root} {}

    json_members take() noexcept { return std::move(members_); }

    bool null() override { return scalar(json_kind::null, "null"); }

    bool boolean(bool value) override
    {
        return scalar(json_kind::boolean, value ? "true" : "false");
    }

    bool number_integer(number_integer_t value) override
    {
        return scalar(json_kind::number, std::to_string(value));
    }

    bool number_unsigned(number_unsigned_t value) override
    {
        return scalar(json_kind::number, std::to_string(value));
    }

    bool number_float(number_float_t, const string_t &text) override
    {
        return scalar(json_kind::number, text);
    }

    bool string(string_t &text) override
    {
        return scalar(json_kind::string,
                      open_.size() == 1 ? text : quoted_string(text));
    }

    bool binary(binary_t &) override { return false; }

    bool start_object(std::size_t) override
    {
        return start(json_kind::object, '{');
    }
    bool end_object() override { return end('}'); }
    bool start_array(std::size_t) override
    {
        return start(json_kind::array, '[');
    }
    bool end_array() override { return end(']'); }

    bool key(string_t &name) override
    {
        if (!open_.back().names.insert(name).second) {
            return false;
        }

        if (open_.size() == 1) {
            name_ = name;
        } else {
            separate();
            members_.back().text += quoted_string(name) + ":";
            open_.back().has_values = false; // no comma before the value
        }

        return true;
    }

    bool parse_error(std::size_t, const std::string &,
                     const nlohmann::detail::exception &) override
    {
        return false;
    }

private:
    struct container {
        json_kind kind;
        std::set<std::string> names; // of an object
        bool has_values = false;
    };

    void separate()
    {
        if (open_.back().has_values) {
            members_.back().text += ',';
        }

        open_.back().has_values = true;
    }

    bool scalar(json_kind kind, const std::string &text)
    {
        if (open_.empty()) {
            return false;
        }

        if (open_.size() == 1) {
            members_.push_back({std::move(name_), kind, text});
            name_.clear();
        } else {
            separate();
            members_.back().text += text;
        }

        return true;
    }

    bool start(json_kind kind, char bracket)
    {
        const bool allowed =
            open_.empty() ? kind == root_ : open_.size() < max_json_depth;

        if (!allowed || (!open_.empty() && !scalar(kind, {bracket}))) {
            return false;
        }

        open_.push_back({kind, {}});
        return true;
    }

    bool end(char bracket)
    {
        open_.pop_back();

        if (!open_.empty()) {
            members_.back().text += bracket;
        }

        return true;
    }

    json_kind root_;
    json_members members_;
    std::vector<container> open_;
    std::string name_; // of the next member
};

std::optional<json_members> read_members(std::string_view text, json_kind root)
{
    member_reader reader(root);

    // The library would skip the first, and end at the second
    if (text.starts_with(byte_order_mark) || text.find('\0') != text.npos ||
        !json::sax_parse(text, &reader)) {
        return std::nullopt;
    }

    return reader.take();
}

} // namespace

std::optional<json_members> read_object(std::string_view text)
{
    return read_members(text, json_kind::object);
}

std::optional<json_members> read_array(std::string_view text)
{
    return read_members(text, json_kind::array);
}

const json_member *find_member(const json_members &members,
                               std::string_view name) noexcept
{
    const auto found =
        std::find_if(members.begin(), members.end(),
                     [name](const auto &each) { return each.name == name; });

    return found == members.end() ? nullptr : &*found;
}

const std::string *find_string(const json_members &members,
                               std::string_view name) noexcept
{
    const json_member *found = find_member(members, name);

    return found != nullptr && found->kind == json_kind::string ? &found->text
                                                                : nullptr;
}

} // namespace websocket::tokens
