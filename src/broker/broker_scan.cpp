// Scans all logs in steps, between which others take the lock.
//
// A new log is linked first in its bucket and has a greater epoch than all
// before it. So the epochs of a bucket decrease, and the epoch of the last
// returned log is the cursor, whatever was created or removed meanwhile.
#include "broker/broker.hpp"
#include "broker/lock_guard.hpp"

namespace websocket::broker {

using namespace detail;

namespace {

// Fills the buffers of a scan.
class scan_writer {
public:
    scan_writer(const zone &z, const scan_buffers &to) noexcept
        : zone_{z}, names_{to.names}, logs_{to.logs}
    {}

    // False: the log does not fit.
    bool add(index at) noexcept
    {
        const log_record &log = zone_.log(at);

        if (count_ == logs_.size() || log.name_size > names_.size()) {
            return false;
        }

        const std::span<std::byte> name =
            copy_name(zone_, at, names_.first(log.name_size));

        names_ = names_.subspan(name.size());
        logs_[count_++] = {
            .name = {reinterpret_cast<const char *>(name.data()), name.size()},
            .clients = all_clients(log),
            .remote_clients = log.remote_clients,
            .messages = history_count(log),
            .last = last_message(log),
            .subscribed = log.subscriptions != 0};
        return true;
    }

    std::size_t count() const noexcept { return count_; }

private:
    const zone &zone_;
    std::span<std::byte> names_;
    std::span<scanned_log> logs_;
    std::size_t count_ = 0;
};

} // namespace

scan_result broker::scan(scan_cursor &at, const scan_buffers &to,
                         std::size_t budget) noexcept
{
    locked_zone hold(mutex_, zone_);
    scan_writer writer(zone_, to);

    while (at.bucket < zone_.head->bucket_count) {
        for (index i = zone_.buckets[at.bucket]; i != 0;
             i = zone_.log(i).next_in_bucket) {
            const std::uint64_t epoch = zone_.log(i).epoch;

            if (epoch >= at.below) {
                continue;
            }

            if (budget == 0 || !writer.add(i)) {
                return {writer.count(), true};
            }

            at.below = epoch;
            budget--;
        }

        at.bucket++;
        at.below = UINT64_MAX;

        if (budget == 0) {
            return {writer.count(), at.bucket < zone_.head->bucket_count};
        }

        budget--;
    }

    return {writer.count(), false};
}

} // namespace websocket::broker
