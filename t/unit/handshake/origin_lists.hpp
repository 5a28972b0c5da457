// Origins for the tests of patterns and of the rule "same".
#pragma once

#include <string_view>

namespace origin_lists {

// Origins that no browser sends.
inline constexpr std::string_view malformed_origins[] = {
    "",
    "Null",
    "null ",
    "a.example",
    "//a.example",
    "https:a.example",
    "https:/a.example",
    "https//a.example",
    "https://",
    "://a.example",
    "https://a.example/",
    "https://a.example/path",
    "https://a.example?q",
    "https://a.example#f",
    "https://a.example\\",
    "https://user@a.example",
    "https://user:password@a.example",
    "https://@a.example",
    "https://a.example:",
    "https://a.example:0",
    "https://a.example:0443",
    "https://a.example:+443",
    "https://a.example:443x",
    "https://a.example: 443",
    "https://a.example:443:443",
    "https://a.example:65979", // 443 in sixteen bits
    "https://a.example:4294967739",
    "https://a.example:18446744073709552059",
    " https://a.example",
    "https://a.example ",
    "https:// a.example",
    "https://a.example https://a.example",
    "https://a.example, https://a.example",
    "https://a..example",
    "https://.a.example",
    "https://a.example..",
    "https://*a.example",
    "https://%61.example",
    "https://\xC3\xA4.example",
    "https://a.example\x80",
    std::string_view("https://a.example\0", 18),
    "https://[a.example]",
    "https://https://a.example",
    "ws://a.example",
    "wss://a.example",
    "1https://a.example",
    "+https://a.example",
    "ht_tps://a.example",
    " https://a.example",
    "data:text/html",
    "file:///",
    "file:///etc",
    "chrome-extension://",
    "capacitor://localhost/",
};

// Well-formed origins of programs, not of the web.
inline constexpr std::string_view program_origins[] = {
    "file://",
    "file://a.example",
    "httpss://a.example",
    "capacitor://a.example",
    "chrome-extension://a.example",
    "null",
};

} // namespace origin_lists
