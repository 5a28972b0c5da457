// Builds the page from page.html and the files that it links to, which the
// build puts in a header: see src/config.make.
#include "nginx/status/page.hpp"

#include <array>
#include <new>
#include <string>

#include <openssl/evp.h>

namespace websocket::nginx {

namespace {

#include "websocket_status_page.hpp"

// A link of the document to a file, and the element that replaces it.
struct part {
    std::string_view link;
    std::string_view begin;
    std::string_view text;
    std::string_view end;
};

constexpr std::array parts{
    part{R"(<link rel="stylesheet" href="page.css">)", "<style>", page_css,
         "</style>"},
    part{R"(<script src="charts.js"></script>)", "<script>", charts_js,
         "</script>"},
    part{R"(<script src="page.js"></script>)", "<script>", page_js,
         "</script>"},
};

constexpr bool are_linked() noexcept
{
    for (const part &each : parts) {
        if (page_html.find(each.link) == page_html.npos ||
            each.text.find(each.end) != each.text.npos) {
            return false;
        }
    }

    return true;
}

static_assert(are_linked());

std::string build_page()
{
    std::string page{page_html};

    for (const part &each : parts) {
        page.replace(
            page.find(each.link), each.link.size(),
            std::string(each.begin).append(each.text).append(each.end));
    }

    return page;
}

// The text's digest as an allowed source (Content Security Policy Level 3,
// 2.3.1). Empty if libcrypto has no SHA-256: then the browser ignores the text.
std::string source_of(std::string_view text)
{
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    std::array<unsigned char, EVP_MAX_MD_SIZE * 2> base64;
    unsigned size = 0;

    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(),
                   nullptr) != 1) {
        return {};
    }

    const int length =
        EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(size));
    return std::string(" 'sha256-")
        .append(reinterpret_cast<const char *>(base64.data()),
                static_cast<std::size_t>(length))
        .append("'");
}

} // namespace

std::string_view status_page()
{
    static const std::string page = build_page();

    return page;
}

std::string_view status_page_policy()
{
    static const std::string policy =
        "default-src 'none'; connect-src 'self'; img-src data:; style-src" +
        source_of(page_css) + "; script-src" + source_of(charts_js) +
        source_of(page_js) +
        "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    return policy;
}

} // namespace websocket::nginx
