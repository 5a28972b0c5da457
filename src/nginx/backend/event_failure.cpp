// Counts and logs the events that have failed.
#include "nginx/backend/event_failure.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/counters.hpp"

namespace websocket::nginx::backend {

namespace {

const char *describe(answer::outcome result) noexcept
{
    switch (result) {
    case answer::outcome::too_large:
        return "the answer is larger than websocket_max_message_size";
    case answer::outcome::timed_out:
        return "no whole answer within the timeout";
    case answer::outcome::no_memory:
        return "no memory or no free connection";
    case answer::outcome::whole:
        return "the answer has no valid status";
    case answer::outcome::unfinished:
        break;
    }

    return "no whole answer";
}

counters::event_failure reason_of(const answer &got,
                                  const char *problem) noexcept
{
    switch (got.result) {
    case answer::outcome::timed_out:
        return counters::event_failure::timeout;
    case answer::outcome::no_memory:
        return counters::event_failure::memory;
    case answer::outcome::unfinished:
        return counters::event_failure::unfinished;
    case answer::outcome::too_large:
        return counters::event_failure::invalid;
    case answer::outcome::whole:
        break;
    }

    return problem != nullptr || got.status == 0
               ? counters::event_failure::invalid
               : counters::event_failure::status;
}

} // namespace

void report(const failed_event &event, const answer &got,
            ngx_log_t *log) noexcept
{
    static log_throttle line;
    log_permit permit = line.allows();

    counters::current->http.fail(reason_of(got, event.problem));

    if (!permit) {
        return;
    }

    const std::string_view name = name_of(event.kind);

    if (event.problem == nullptr && got.result == answer::outcome::whole &&
        got.status != 0) {
        write_log(NGX_LOG_ERR, log,
                  "websocket: the backend answered the event \"%V\" of client "
                  "%uL with status %ui%V",
                  name, event.client, got.status, permit.suppressed());
        return;
    }

    write_log(NGX_LOG_ERR, log,
              "websocket: the event \"%V\" of client %uL failed: %V%V", name,
              event.client,
              unquoted{event.problem != nullptr ? event.problem
                                                : describe(got.result)},
              permit.suppressed());
}

} // namespace websocket::nginx::backend
