// Owners of OpenSSL's objects.
#pragma once

#include <cstddef>
#include <memory>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

namespace websocket::tokens {

struct free_ssl {
    void operator()(BIGNUM *object) const noexcept { BN_free(object); }
    void operator()(BIO *object) const noexcept { BIO_free(object); }
    void operator()(ECDSA_SIG *object) const noexcept
    {
        ECDSA_SIG_free(object);
    }
    void operator()(EVP_MD_CTX *object) const noexcept
    {
        EVP_MD_CTX_free(object);
    }
    void operator()(EVP_PKEY_CTX *object) const noexcept
    {
        EVP_PKEY_CTX_free(object);
    }
    void operator()(OSSL_PARAM *object) const noexcept
    {
        OSSL_PARAM_free(object);
    }
    void operator()(OSSL_PARAM_BLD *object) const noexcept
    {
        OSSL_PARAM_BLD_free(object);
    }
    void operator()(unsigned char *object) const noexcept
    {
        OPENSSL_free(object);
    }
    void operator()(char *object) const noexcept { OPENSSL_free(object); }
};

template <class Object>
using ssl_ptr = std::unique_ptr<Object, free_ssl>;

struct ssl_bytes {
    ssl_ptr<unsigned char> bytes;
    std::size_t size = 0;
};

// Removes the errors that calls in its scope leave in OpenSSL's queue: nginx
// would report them at the next TLS connection.
class ssl_error_mark {
public:
    ssl_error_mark() noexcept { ERR_set_mark(); }
    ssl_error_mark(const ssl_error_mark &) = delete;
    ssl_error_mark &operator=(const ssl_error_mark &) = delete;
    ~ssl_error_mark() { ERR_pop_to_mark(); }
};

} // namespace websocket::tokens
