// Scans a JSON document that should be one object, and reports its members. It
// builds no value but the strings that are asked for. So length and depth cost
// little: a message may be large, and all other clients wait meanwhile.
#pragma once

#include "handlers/json_scanner.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::handlers {

class object_scanner {
public:
    // Called for each member of the object, in their order. All may throw
    // std::bad_alloc.
    class members {
    public:
        // Receives the value if it is a string; null: it is not stored.
        virtual std::string *target(std::string_view name) = 0;

        // The value as it is in the text, and whether it is a string.
        virtual void found(std::string_view name, std::string_view value,
                           bool is_string) = 0;

    protected:
        ~members() = default;
    };

    // Both must outlive the object.
    object_scanner(std::string_view text, members &to) noexcept
        : scanner_{text}, members_{to}
    {}

    // False if the text is not JSON.
    bool scan();

    // True if the document is an object.
    bool is_object() const noexcept { return object_; }

private:
    bool value();
    bool ends();
    bool scalar(char first);
    bool name();
    void end_value(bool is_string);

    // True if the next or last token belongs to a member of the object itself.
    bool at_member() const noexcept { return object_ && open_.size() == 1; }
    char end_of_last() const noexcept { return open_.back() ? '}' : ']'; }

    json_scanner scanner_;
    members &members_;
    std::string name_;       // of the member
    std::vector<bool> open_; // objects, true, and arrays that have not ended
    std::size_t began_ = 0;  // the value of the member
    bool object_ = false;
};

} // namespace websocket::handlers
