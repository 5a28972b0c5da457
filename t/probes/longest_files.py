"""The order in which pytest runs the files."""

# The files that take longest, in this order. They start first, so that none is
# left at the end while other processes have nothing to do.
LONGEST_FILES = [
    "test_redis_outages", "test_package", "test_closing_handshake",
    "test_soak", "test_browser_status", "test_shutdown", "test_browser_load",
    "test_redis_counts", "test_limits_many_clients", "test_redis_resolver",
    "test_redis_cluster", "test_redis_backends", "test_redis_backend_faults",
    "test_redis_counters", "test_redis_leader",
    "test_timers",
    "test_redis_tls", "test_redis_presence", "test_redis_cuts",
    "test_redis_waiting", "test_memory",
    "test_browser_team", "test_release", "test_browser_chat",
    "test_room_memory",
    "test_drain_reload", "test_tls", "test_fault_points",
    "test_room_presence", "test_backpressure", "test_example_load",
    "test_leaks", "test_drain", "test_example_load_costs",
]
