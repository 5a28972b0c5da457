// Adopts the clients of workers that have ended, in the order in which their
// notes are found.
#include "nginx/backend/adoption.hpp"

#include "nginx/backend/client.hpp"
#include "nginx/kept_clients/client_claims.hpp"
#include "nginx/kept_clients/client_register.hpp"
#include "nginx/backend/event_queue.hpp"
#include "nginx/backplane/backplane.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/core/timer.hpp"
#include "nginx/workers/shared_zone.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <new>
#include <vector>

namespace websocket::nginx::backend {

namespace {

constexpr ngx_msec_t adoption_interval = 1000;

// So many events may be unfinished in a worker that adopts clients.
constexpr std::uint64_t max_unfinished = 1000;

// Of one turn of the event loop.
constexpr unsigned max_adopted = 64;

// nginx's master kills a worker some 1.5 s after the signal to stop at once.
constexpr ngx_msec_t max_finishing = 1000;

ngx_event_t adoption_event;
ngx_event_t deadline_event;

template <class Call>
void each_location(Call call)
{
    const ngx_array_t *locations = main_conf_of(*ngx_cycle).locations;

    if (locations == nullptr) {
        return;
    }

    for (const handler_location &each :
         std::span{static_cast<const handler_location *>(locations->elts),
                   locations->nelts}) {
        if (each.conf->backend != nullptr) {
            call(*each.conf);
        }
    }
}

const location_configuration *find_location(std::uint32_t id) noexcept
{
    const location_configuration *found = nullptr;

    each_location([&found, id](const location_configuration &conf) {
        if (found == nullptr && conf.backend->id == id) {
            found = &conf;
        }
    });
    return found;
}

// The kinds of the notes that this configuration has locations for. Throws
// std::bad_alloc.
std::vector<std::uint32_t> kinds_with_disconnects()
{
    std::vector<std::uint32_t> kinds;

    each_location([&kinds](const location_configuration &conf) {
        if (conf.backend->sends(event_kind::disconnect)) {
            kinds.push_back(conf.backend->id);
        }
    });
    return kinds;
}

// Workers that adopt a client and die may die of it.
constexpr std::uint16_t max_adoptions = 5;

// Also in Redis.
void forget(const broker::found_note &found) noexcept
{
    if (!client_register::instance().forget(client_record::id_of(found.text),
                                            found.kind, found.handle)) {
        worker_bus::broker().remove_note(found.handle);
    }
}

void drop(const broker::found_note &found, std::string_view why) noexcept
{
    static log_throttle line;

    forget(found);

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_ERR, ngx_cycle->log,
                  "websocket: a client of a worker that has ended gets no "
                  "disconnect event: %V%V",
                  unquoted{why}, permit.suppressed());
    }
}

bool has_room() noexcept
{
    return event_queue::unfinished() < max_unfinished;
}

// Throws std::bad_alloc.
void adopt_client(const broker::found_note &found)
{
    const location_configuration *conf = find_location(found.kind);

    if (found.code == answered_code) {
        forget(found);
    } else if (conf == nullptr) {
        drop(found, "its location is not in this configuration");
    } else if (found.adoptions > max_adoptions) {
        drop(found, "too many workers have ended that sent it");
    } else {
        (new client(*conf, found))->detach();
    }
}

// False: there is none.
bool adopt_next(std::span<const std::uint32_t> kinds)
{
    static std::vector<char> buffer(4096);
    const auto found = worker_bus::broker().adopt_note(
        worker_bus::slot(), kinds, buffer, worker_bus::now());

    if (found && found->needed != 0) {
        buffer.resize(found->needed);
        return adopt_next(kinds);
    }

    if (!found) {
        return false;
    }

    try {
        adopt_client(*found);
    } catch (const std::bad_alloc &) {
        worker_bus::broker().abandon_note(found->handle, worker_bus::now());
        throw;
    }

    return true;
}

void on_adoption(ngx_event_t *event)
{
    unsigned left = max_adopted;

    try {
        const auto kinds = kinds_with_disconnects();

        while (worker_bus::running() && left != 0 && has_room() &&
               adopt_next(kinds)) {
            left--;
        }
    } catch (const std::bad_alloc &) {
        // The note stays for another time
    }

    ngx_add_timer(event, left == 0 ? 1 : adoption_interval);
}

// Other workers may have ended before this one, and there may be no further
// one.
void adopt_rest() noexcept
try {
    const auto kinds = kinds_with_disconnects();

    while (worker_bus::running() && has_room() && adopt_next(kinds)) {}
} catch (const std::bad_alloc &) {
    // The rest may be lost
}

void on_deadline(ngx_event_t *)
{}

// Throws std::bad_alloc.
std::vector<std::string> backend_kinds()
{
    std::vector<std::string> kinds;

    for (const std::uint32_t each : kinds_with_disconnects()) {
        kinds.push_back(std::to_string(each));
    }

    return kinds;
}

constexpr client_calls functions{
    .entry = [](const client &of,
                std::uint64_t sequence) { return of.entry(sequence); },
    .lose = [](client &which) noexcept { which.lose(); },
    .kinds = backend_kinds,
    .adopt = adopt_client,
    .has_room = has_room,
};

void on_clients_unleased(unsigned shard) noexcept
{
    client_register::instance().check(shard);
}

} // namespace

void start_adoption(ngx_cycle_t *cycle, shared_zone &zone) noexcept
{
    each_location(
        [&zone](const location_configuration &) { zone.has_backends = true; });

    // Workers of an earlier configuration may still have clients
    if (!zone.has_backends) {
        return;
    }

    init_timer(adoption_event, on_adoption, cycle->log);
    ngx_add_timer(&adoption_event, adoption_interval);
    calls = &functions;
    backplane::listeners = {&client_register::instance(),
                            &client_claims::instance()};
    backplane::on_clients_unleased = on_clients_unleased;
    client_claims::instance().start(cycle);
}

void flush_kept_clients() noexcept
{
    if (worker_bus::running()) {
        client_register::instance().flush();
    }
}

void end_adoption() noexcept
{
    if (worker_bus::running()) {
        client_claims::instance().end();
    }
}

void finish_events(ngx_cycle_t *cycle) noexcept
{
    if (adoption_event.handler != nullptr && worker_bus::running()) {
        worker_bus::reclaim_dead();
        adopt_rest();
    }

    if (event_queue::unfinished() == 0) {
        return;
    }

    const ngx_msec_t began = ngx_current_msec;

    event_queue::resume_all();
    ngx_close_listening_sockets(cycle);
    init_timer(deadline_event, on_deadline, cycle->log);
    ngx_add_timer(&deadline_event, max_finishing);

    while (event_queue::unfinished() != 0 &&
           ngx_current_msec - began < max_finishing) {
        ngx_process_events_and_timers(cycle);
    }

    if (event_queue::unfinished() != 0) {
        write_log(NGX_LOG_WARN, cycle->log,
                  "websocket: the worker ends before %uL events for HTTP "
                  "backends were answered",
                  event_queue::unfinished());
        event_request::end_all();
    }
}

} // namespace websocket::nginx::backend
