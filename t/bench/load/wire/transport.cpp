// The bytes of one connection, plain or with TLS.
//
// TLS reads from memory and writes to memory. So a turn of the event loop makes
// one recv and one send for each connection, as without TLS.
#include "transport.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace websocket::load {

namespace {

// With an incomplete record from before, this is still less than the buffer.
constexpr std::size_t records_size = transport::buffer_size - 2 * 16 * 1024;
const auto records = std::make_unique_for_overwrite<std::byte[]>(records_size);

// Encrypted at a time, so that few bytes wait if the socket is full.
constexpr std::size_t encrypted_at_once = 64 * 1024;

[[noreturn]] void fail_tls(const char *what)
{
    std::array<char, 256> text;

    ERR_error_string_n(ERR_get_error(), text.data(), text.size());
    throw peer_fault(std::string(what) + ": " + text.data());
}

std::size_t checked(ssize_t size, const char *what)
{
    if (size == -1) {
        if (errno == EAGAIN) {
            return 0;
        }
        throw peer_fault(what + error_text(errno));
    }

    return static_cast<std::size_t>(size);
}

std::size_t received(ssize_t size)
{
    if (size == 0) {
        throw peer_fault("the server ended the connection");
    }

    return checked(size, "cannot receive: ");
}

} // namespace

std::string error_text(int error)
{
    return std::generic_category().message(error);
}

tls_setting::tls_setting()
    : context_{SSL_CTX_new(TLS_client_method()), SSL_CTX_free}
{
    if (context_ == nullptr) {
        fail_tls("no TLS");
    }

    SSL_CTX_set_verify(context(), SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_session_cache_mode(context(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context(), SSL_MODE_RELEASE_BUFFERS);
}

transport::~transport()
{
    close();
}

void transport::open(int socket, const tls_setting *tls)
{
    socket_ = socket;
    flushed_ = 0;

    if (tls == nullptr) {
        return;
    }

    tls_.reset(SSL_new(tls->context()));

    BIO *const from = BIO_new(BIO_s_mem());
    BIO *const to = BIO_new(BIO_s_mem());

    if (tls_ == nullptr || from == nullptr || to == nullptr) {
        fail_tls("no TLS");
    }

    BIO_set_mem_eof_return(from, -1);
    SSL_set_bio(tls_.get(), from, to);
    SSL_set_tlsext_host_name(tls_.get(), "localhost");
    SSL_set_connect_state(tls_.get());
}

void transport::close() noexcept
{
    if (socket_ != -1) {
        ::close(std::exchange(socket_, -1));
        tls_.reset();
    }
}

bool transport::secure()
{
    while (tls_ != nullptr && !SSL_is_init_finished(tls_.get())) {
        const int done = SSL_do_handshake(tls_.get());

        if (done != 1 &&
            SSL_get_error(tls_.get(), done) != SSL_ERROR_WANT_READ) {
            fail_tls("the TLS handshake failed");
        }

        flush();

        if (done != 1 && receive_records() == 0) {
            return false;
        }
    }

    return true;
}

reading transport::receive_plain(std::span<std::byte> gap,
                                 std::span<std::byte> buffer)
{
    const std::array<iovec, 2> to = {
        {{gap.data(), gap.size()}, {buffer.data(), buffer.size()}}};
    const std::size_t size = received(
        gap.empty() ? readv(socket_, &to[1], 1) : readv(socket_, to.data(), 2));

    return {size, size == gap.size() + buffer.size()};
}

reading transport::receive(std::span<std::byte> gap,
                           std::span<std::byte> buffer)
{
    if (tls_ == nullptr) {
        return receive_plain(gap, buffer);
    }

    const bool more = receive_records() == records_size;
    std::size_t size = decrypt(gap);

    if (size == gap.size()) {
        size += decrypt(buffer);
    }

    return {size, more};
}

std::size_t transport::receive_records()
{
    const std::size_t size =
        received(recv(socket_, records.get(), records_size, 0));

    if (size != 0) {
        BIO_write(SSL_get_rbio(tls_.get()), records.get(),
                  static_cast<int>(size));
    }

    return size;
}

std::size_t transport::decrypt(std::span<std::byte> to)
{
    std::size_t size = 0;

    while (size != to.size()) {
        std::size_t got = 0;
        const int done =
            SSL_read_ex(tls_.get(), to.data() + size, to.size() - size, &got);

        if (done != 1) {
            const int why = SSL_get_error(tls_.get(), done);

            if (why == SSL_ERROR_ZERO_RETURN) {
                throw peer_fault("the server ended the connection");
            }

            if (why != SSL_ERROR_WANT_READ) {
                fail_tls("cannot decrypt");
            }
            break;
        }

        size += got;
    }

    return size;
}

void transport::encrypt(std::span<const std::byte> from)
{
    std::size_t taken = 0;

    if (!from.empty() &&
        SSL_write_ex(tls_.get(), from.data(), from.size(), &taken) != 1) {
        fail_tls("cannot encrypt");
    }
}

bool transport::flush()
{
    if (tls_ == nullptr) {
        return true;
    }

    BIO *const from = SSL_get_wbio(tls_.get());
    char *data = nullptr;
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(from, &data));

    while (flushed_ != size) {
        const std::size_t sent = checked(
            ::send(socket_, data + flushed_, size - flushed_, MSG_NOSIGNAL),
            "cannot send: ");

        if (sent == 0) {
            return false;
        }
        flushed_ += sent;
    }

    if (size != 0) {
        BIO_reset(from);
        flushed_ = 0;
    }

    return true;
}

std::size_t transport::send(std::span<const std::byte> first,
                            std::span<const std::byte> second)
{
    if (tls_ != nullptr) {
        if (!flush()) {
            return 0;
        }

        first = first.first(std::min(first.size(), encrypted_at_once));
        second = second.first(
            std::min(second.size(), encrypted_at_once - first.size()));
        encrypt(first);
        encrypt(second);
        flush();
        return first.size() + second.size();
    }

    const std::array<iovec, 2> from = {
        {{const_cast<std::byte *>(first.data()), first.size()},
         {const_cast<std::byte *>(second.data()), second.size()}}};

    return checked(second.empty() ? write(socket_, first.data(), first.size())
                                  : writev(socket_, from.data(), 2),
                   "cannot send: ");
}

std::string transport::cipher() const
{
    return tls_ == nullptr ? std::string()
                           : SSL_get_version(tls_.get()) + std::string(" ") +
                                 SSL_get_cipher_name(tls_.get());
}

} // namespace websocket::load
