// Lists the users of a scope in steps, between which others take the lock.
#include "broker/broker.hpp"
#include "broker/lock_guard.hpp"
#include "broker/members.hpp"
#include "broker/seats.hpp"

#include <array>

namespace websocket::broker {

using namespace detail;

namespace {

// Fills a page with the users after `after`.
class page_writer {
public:
    page_writer(const zone &z, std::string_view after,
                const member_page &to) noexcept
        : zone_{z}, after_{after}, bytes_{to.bytes}, members_{to.members}
    {}

    // Visits as many members as one hold of the lock allows. True: the page is
    // full, or there are no more.
    bool step(index scope) noexcept
    {
        index at = scope == 0 ? index{0}
                              : member_after(zone_, scope,
                                             std::as_bytes(std::span(after_)));
        index visited = 0;

        for (std::size_t i = 0; at != 0 && i != zone_.hold.entries; i++) {
            if (!add(at, all_clients(zone_, at))) {
                more_ = true;
                return true;
            }

            visited = at;
            at = member_at(zone_, at).next;
        }

        if (at != 0) {
            after_ = copy_user(zone_, visited, last_);
        }

        return at == 0;
    }

    listed_members result() const noexcept { return {count_, more_}; }

private:
    // False: the user does not fit.
    bool add(index at, std::uint32_t clients) noexcept
    {
        if (count_ == members_.size() ||
            member_at(zone_, at).user_size > bytes_.size()) {
            return false;
        }

        const std::string_view user = copy_user(zone_, at, bytes_);

        bytes_ = bytes_.subspan(user.size());
        members_[count_++] = {user, clients};
        return true;
    }

    const zone &zone_;
    std::string_view after_;
    std::span<char> bytes_;
    std::span<listed_member> members_;
    std::size_t count_ = 0;
    bool more_ = false;
    std::array<char, max_user_size> last_; // the user that after_ refers to
};

} // namespace

std::uint32_t broker::count_users(std::string_view scope) noexcept
{
    return count_scope(scope).users;
}

counted_scope broker::count_scope(std::string_view scope) noexcept
{
    const scope_name name(zone_, scope);
    locked_zone hold(mutex_, zone_);
    const index at = find_scope(zone_, name);

    if (at == 0) {
        return {};
    }

    const scope_record &found = scope_at(zone_, at);

    return {found.users, found.members, found.clients, found.linger != 0};
}

listed_members broker::list_members(std::string_view scope,
                                    std::string_view after,
                                    const member_page &to) noexcept
{
    const scope_name name(zone_, scope);
    page_writer writer(zone_, after, to);

    for (bool done = false; !done;) {
        locked_zone hold(mutex_, zone_);
        done = writer.step(find_scope(zone_, name));
    }

    return writer.result();
}

} // namespace websocket::broker
