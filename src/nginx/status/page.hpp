// The page that draws the statistics: one document that needs no other file.
#pragma once

#include <string_view>

namespace websocket::nginx {

// The results live as long as the module. Throw std::bad_alloc.
std::string_view status_page();

// The Content-Security-Policy of the page. It allows the page's own style and
// scripts, by their digests, and requests to its own origin.
std::string_view status_page_policy();

} // namespace websocket::nginx
