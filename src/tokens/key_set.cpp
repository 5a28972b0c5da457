// Reads key files: a secret, or public keys in PEM.
#include "tokens/key_set.hpp"

#include "tokens/openssl.hpp"

#include <algorithm>
#include <string>

#include <openssl/pem.h>
#include <openssl/x509.h>

namespace websocket::tokens {

namespace {

constexpr std::string_view secret_prefix = "secret:";
constexpr std::string_view private_key_error =
    "it has a private key; a server that verifies tokens needs the public "
    "one only: openssl pkey -pubout";

bool is_printable(char letter) noexcept
{
    return letter >= 0x20 && letter < 0x7F;
}

// Editors end files with a line break. A secret of random bytes is kept whole.
std::string_view without_line_break(std::string_view secret) noexcept
{
    std::string_view line = secret;

    line.remove_suffix(line.ends_with('\n') ? 1 : 0);
    line.remove_suffix(line.ends_with('\r') ? 1 : 0);
    return std::all_of(line.begin(), line.end(), is_printable) ? line : secret;
}

parsed_keys failed(std::string_view error)
{
    return {{}, std::string(error)};
}

parsed_keys parse_secret(std::string_view secret)
{
    parsed_keys parsed;
    key::result read =
        key::from_secret(secret_bytes(std::string(without_line_break(secret))));

    if (read.created == nullptr) {
        return failed(read.error);
    }

    parsed.keys.push_back(std::move(read.created));
    return parsed;
}

// One block of PEM, whatever its type is.
struct pem_block {
    ssl_ptr<char> name;
    ssl_ptr<char> header;
    ssl_ptr<unsigned char> bytes;
    long size = 0;

    // False at the end, and for a malformed block.
    bool read(BIO *from) noexcept
    {
        char *read_name = nullptr;
        char *read_header = nullptr;
        unsigned char *read_bytes = nullptr;
        const bool found = PEM_read_bio(from, &read_name, &read_header,
                                        &read_bytes, &size) == 1;

        name.reset(found ? read_name : nullptr);
        header.reset(found ? read_header : nullptr);
        bytes.reset(found ? read_bytes : nullptr);
        return found;
    }

    pkey_ptr public_key() const noexcept
    {
        const unsigned char *at = bytes.get();
        pkey_ptr key(d2i_PUBKEY(nullptr, &at, size));

        return at == bytes.get() + size ? std::move(key) : nullptr;
    }
};

parsed_keys parse_pem(std::string_view text)
{
    const ssl_error_mark mark;
    const ssl_ptr<BIO> file(
        BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    parsed_keys parsed;
    pem_block block;

    while (file && block.read(file.get())) {
        const std::string_view name(block.name.get());

        if (name.ends_with("PRIVATE KEY")) {
            return failed(private_key_error);
        }

        if (name != "PUBLIC KEY") {
            return failed("a block of it is not a PEM \"PUBLIC KEY\"");
        }

        pkey_ptr read = block.public_key();

        if (read == nullptr) {
            return failed("a public key of it is malformed");
        }

        key::result usable = key::from_public_key(std::move(read));

        if (usable.created == nullptr) {
            return failed(usable.error);
        }

        parsed.keys.push_back(std::move(usable.created));
    }

    return file && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE
               ? std::move(parsed)
               : failed("a PEM block of it is malformed");
}

} // namespace

parsed_keys parse_keys(std::string_view file)
{
    if (file.starts_with(secret_prefix)) {
        return parse_secret(file.substr(secret_prefix.size()));
    }

    const std::size_t first = file.find_first_not_of(" \t\r\n");
    parsed_keys parsed = first != file.npos && file[first] == '{'
                             ? parse_jwk_set(file)
                             : parse_pem(file);

    if (parsed.error.empty() && parsed.keys.empty()) {
        return failed("it has no key that can be used; expected public keys "
                      "in PEM, a JWK set, or \"secret:\" and a secret");
    }

    return parsed;
}

} // namespace websocket::tokens
