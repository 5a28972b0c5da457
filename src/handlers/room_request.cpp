// Parses requests of clients of room.v1.json. It builds no value but "data",
// and "ref" is a piece of the text. So length and depth cost little: a message
// may be large, and all other clients wait meanwhile.
#include "handlers/json_scanner.hpp"
#include "handlers/room_json.hpp"

#include <cstddef>
#include <utility>
#include <vector>

namespace websocket::handlers::room_json {

namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

class request_reader {
public:
    explicit request_reader(std::string_view text) noexcept : scanner_{text} {}

    request read()
    {
        if (!document()) {
            return {.error = "not JSON"};
        }

        // A request with data is neither a ping nor a token
        const bool has_data = data_ != kind::none;

        result_.ping = result_.ping && !has_data;

        if (has_data || result_.ping) {
            result_.token.clear();
        }

        result_.error = !object_                 ? "not an object"
                        : result_.ping           ? ""
                        : !result_.token.empty() ? ""
                        : data_ == kind::none    ? "no data"
                        : data_ == kind::other   ? "data is not a string"
                                                 : "";
        return std::move(result_);
    }

private:
    enum class member { data, ref, token, other };
    enum class kind { none, text, other };

    bool document()
    {
        scanner_.take(byte_order_mark);
        scanner_.skip_space();
        object_ = scanner_.next() == '{';

        do {
            if (!value()) {
                return false;
            }
        } while (!open_.empty());

        scanner_.skip_space();
        return scanner_.ended();
    }

    // Scans one value, or the start of an object or array, and then everything
    // up to the next value.
    bool value()
    {
        scanner_.skip_space();

        const char first = scanner_.next();

        if (at_member()) {
            began_ = scanner_.position();
        }

        if (first == '{' || first == '[') {
            scanner_.take(first);
            open_.push_back(first == '{');
            scanner_.skip_space();

            if (scanner_.next() != end_of_last()) {
                return !open_.back() || name();
            }
        } else if (!scalar(first)) {
            return false;
        } else {
            end_value(first == '"');
        }

        return ends();
    }

    // Scans the ends of objects and arrays here.
    bool ends()
    {
        while (!open_.empty()) {
            scanner_.skip_space();

            if (scanner_.take(',')) {
                return !open_.back() || name();
            }

            if (!scanner_.take(end_of_last())) {
                return false;
            }

            open_.pop_back();
            end_value(false);
        }

        return true;
    }

    bool scalar(char first)
    {
        switch (first) {
        case '"':
            return scanner_.string(text_of_member());
        case 't':
            return scanner_.take("true");
        case 'f':
            return scanner_.take("false");
        case 'n':
            return scanner_.take("null");
        default:
            return scanner_.number();
        }
    }

    bool name()
    {
        scanner_.skip_space();

        if (!scanner_.string(at_member() ? &name_ : nullptr)) {
            return false;
        }

        if (at_member()) {
            member_ = name_ == "data"    ? member::data
                      : name_ == "ref"   ? member::ref
                      : name_ == "token" ? member::token
                                         : member::other;
            result_.ping = result_.ping || name_ == "ping";
        }

        scanner_.skip_space();
        return scanner_.take(':');
    }

    void end_value(bool text)
    {
        if (!at_member()) {
            return;
        }

        if (member_ == member::data) {
            data_ = text ? kind::text : kind::other;

        } else if (member_ == member::ref) {
            result_.ref = scanner_.since(began_);
        }
    }

    // Null: the text of the value is not needed.
    std::string *text_of_member() noexcept
    {
        return !at_member()               ? nullptr
               : member_ == member::data  ? &result_.data
               : member_ == member::token ? &result_.token
                                          : nullptr;
    }

    // True if the next or last token belongs to a member of the request itself.
    bool at_member() const noexcept { return object_ && open_.size() == 1; }

    char end_of_last() const noexcept { return open_.back() ? '}' : ']'; }

    json_scanner scanner_;
    request result_;
    std::string name_;
    std::vector<bool> open_; // objects, true, and arrays that have not ended
    std::size_t began_ = 0;  // the value of the member
    member member_ = member::other;
    kind data_ = kind::none;
    bool object_ = false;
};

} // namespace

request parse(std::string_view text)
{
    return request_reader(text).read();
}

} // namespace websocket::handlers::room_json
