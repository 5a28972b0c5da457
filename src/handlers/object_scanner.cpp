// Scans the structure of a document, without recursion.
#include "handlers/object_scanner.hpp"

namespace websocket::handlers {

bool object_scanner::scan()
{
    scanner_.take("\xEF\xBB\xBF"); // a byte order mark
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

// Scans one value, or the start of an object or array, and then everything up
// to the next value.
bool object_scanner::value()
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
bool object_scanner::ends()
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

bool object_scanner::scalar(char first)
{
    switch (first) {
    case '"':
        return scanner_.string(at_member() ? members_.target(name_) : nullptr);
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

bool object_scanner::name()
{
    scanner_.skip_space();

    if (!scanner_.string(at_member() ? &name_ : nullptr)) {
        return false;
    }

    scanner_.skip_space();
    return scanner_.take(':');
}

void object_scanner::end_value(bool is_string)
{
    if (at_member()) {
        members_.found(name_, scanner_.since(began_), is_string);
    }
}

} // namespace websocket::handlers
