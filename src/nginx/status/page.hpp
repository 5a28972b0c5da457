// The page that draws the figures: one document that needs no other file.
#pragma once

#include <string_view>

namespace websocket::nginx {

// Both live as long as the module, and throw std::bad_alloc.
std::string_view status_page();

// The Content-Security-Policy under which the page works and nothing else
// does: its own style and script, known by their digests, and requests to
// where it came from.
std::string_view status_page_policy();

} // namespace websocket::nginx
