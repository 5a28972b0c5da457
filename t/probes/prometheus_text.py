"""Reads the metrics of websocket_status with Prometheus's parser."""

from prometheus_client.parser import text_string_to_metric_families

from status_reader import request


def text_of(server, path="/status"):
    """The text that a worker answers with."""
    response = server.request(request(path))
    assert response.status == 200
    assert response.header("Content-Type") == "text/plain; version=0.0.4"
    assert response.body.endswith(b"\n")
    return response.body.decode()


def families_of(text):
    """The parser's families by their names without the prefix."""
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert all(name.startswith("nginx_websocket_") for name in names), names
    return {family.name.removeprefix("nginx_websocket_"): family
            for family in families}


def samples_of(families):
    """{(name, labels): value}; each sample must be unique."""
    found = {}
    for family in families.values():
        for sample in family.samples:
            key = (sample.name.removeprefix("nginx_websocket_"),
                   frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found
