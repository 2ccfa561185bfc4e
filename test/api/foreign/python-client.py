"""Makes the calls of a table with Python's xmlrpc.client, and prints what each was answered as one JSON array.

Usage: python-client.py URL MODE, with the table as JSON in the standard input: [[method, params], ...]
MODE: plain, builtin-types, allow-none, gzip (requests are packed), new-connections (one for each call)
"""

import json
import sys
import xmlrpc.client


class PackingTransport(xmlrpc.client.Transport):
    encode_threshold = 1  # bytes: every request is packed


def make_proxy(url, mode):
    options = {
        "builtin-types": dict(use_builtin_types=True),
        "allow-none": dict(allow_none=True),
        "gzip": dict(transport=PackingTransport()),
    }.get(mode, {})
    return xmlrpc.client.ServerProxy(url, **options)


def outcome(proxy, method, params):
    try:
        return dict(value=getattr(proxy, method)(params))
    except xmlrpc.client.Fault as fault:
        return dict(code=fault.faultCode, text=fault.faultString)


def main(url, mode):
    proxy = make_proxy(url, mode)
    outcomes = []
    for method, params in json.load(sys.stdin):
        if mode == "new-connections":
            proxy = make_proxy(url, mode)
        outcomes.append(outcome(proxy, method, params))
    json.dump(outcomes, sys.stdout)


main(sys.argv[1], sys.argv[2])
