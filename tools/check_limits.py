#!/usr/bin/env python3
"""What `medtune serve` says to requests that it must not take: every limit, and every kind of wrong request. After each it
must still answer.

    check_limits.py MEDTUNE MODEL

Needs nothing but Python. A JSON verdict, exit 1 on failure.
"""

import argparse
import json
import socket
import sys
import time

from streaming import Server

MIB = 1 << 20


def body(**fields):
    return json.dumps(fields).encode()


def ask(**fields):
    return "/v1/completions", body(**{"prompt": "Fever", "max_tokens": 2, **fields})


def chat(**fields):
    return "/v1/chat/completions", body(**{"messages": [{"role": "user", "content": "Fever"}], "max_tokens": 2, **fields})


def cases(model):
    long = "fever " * 3000
    deep = b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    schema = {"type": "integer"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    yield "a completion", 200, *ask()
    yield "a chat", 200, *chat()
    yield "n of 4", 200, *chat(n=4)
    yield "n of 5", 400, *chat(n=5)
    yield "n of 0", 400, *chat(n=0)
    yield "n below 0", 400, *chat(n=-1)
    yield "n of 2^64", 400, *chat(n=1 << 64)
    yield "4 stop strings", 200, *ask(stop=["a", "b", "c", "d"])
    yield "5 stop strings", 400, *ask(stop=["a", "b", "c", "d", "e"])
    yield "a stop string of 64 bytes", 200, *ask(stop="x" * 64)
    yield "a stop string of 65 bytes", 400, *ask(stop="x" * 65)
    yield "an empty stop string", 400, *ask(stop="")
    yield "top_logprobs of 20", 200, *chat(logprobs=True, top_logprobs=20)
    yield "top_logprobs of 21", 400, *chat(logprobs=True, top_logprobs=21)
    yield "16 prompts", 200, *ask(prompt=["x"] * 16)
    yield "17 prompts", 400, *ask(prompt=["x"] * 17)
    yield "257 messages", 400, *chat(messages=[{"role": "user", "content": "x"}] * 257)
    yield "no messages", 400, *chat(messages=[])
    yield "a prompt beyond the context", 400, *ask(prompt=long)
    yield "a conversation beyond the context", 400, *chat(messages=[{"role": "user", "content": long}])
    yield "max_tokens of 0", 400, *ask(max_tokens=0)
    yield "max_tokens below 0", 400, *ask(max_tokens=-5)
    yield "a token that is none", 400, *ask(prompt=[10**8])
    yield "a negative temperature", 400, *ask(temperature=-1)
    yield "a temperature that is text", 400, *ask(temperature="hot")
    yield "top_p above 1", 400, *ask(top_p=1.5)
    yield "a body above 1 MiB", 413, "/v1/completions", body(prompt="x" * MIB)
    yield "a body above 8 MiB", 413, "/v1/completions", body(prompt="x" * 9 * MIB)
    yield "truncated JSON", 400, "/v1/completions", b'{"prompt": "x"'
    yield "100,000 brackets", 400, "/v1/completions", deep
    yield "NaN", 400, "/v1/completions", b'{"prompt": "x", "temperature": NaN}'
    yield "bytes that are not UTF-8", 400, "/v1/completions", b'{"prompt": "\xff\xfe"}'
    yield "a list for an object", 400, "/v1/completions", b"[]"
    yield "the same key twice", 400, "/v1/completions", b'{"prompt": "x", "prompt": "y"}'
    yield "an empty body", 400, "/v1/completions", b""
    yield "an unknown model", 404, *chat(model="nobody")
    yield "an unknown model, Ollama", 404, "/api/chat", body(model="nobody", messages=[{"role": "user", "content": "x"}])
    yield "an unknown role", 400, *chat(messages=[{"role": "wizard", "content": "x"}])
    yield "a picture", 400, *chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])
    yield "tools", 400, *chat(tools=[{"type": "function", "function": {"name": "f"}}])
    yield "JSON asked for", 200, *chat(response_format={"type": "json_object"})
    yield "a format that is none", 400, *chat(response_format={"type": "yaml"})
    yield "a schema 200 deep", 400, *chat(response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}})
    yield "a schema that is none", 400, *chat(
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "banana"}}})
    yield "a pattern that is none", 400, *chat(
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "string", "pattern": "(("}}})
    yield "a question", 200, "/ask", body(question="What is sepsis?")
    yield "options by letter", 200, "/ask", body(question="Which?", options={"A": "one", "B": "two"})
    yield "options without letters", 400, "/ask", body(question="Which?", options={"": "one", "B": "two"})
    yield "one option", 400, "/ask", body(question="Which?", options={"A": "one"})
    yield "no question", 400, "/ask", body()
    yield "an empty question", 400, "/ask", body(question="  ")
    yield "an Ollama chat", 200, "/api/chat", body(model=model, messages=[{"role": "user", "content": "x"}], stream=False,
                                                  options={"num_predict": 2})
    yield "an Ollama prompt", 200, "/api/generate", body(model=model, prompt="x", stream=False, options={"num_predict": 2})
    yield "an Ollama template", 400, "/api/generate", body(model=model, prompt="x", template="{{ .Prompt }}")
    yield "vectors without an encoder", 501, "/v1/embeddings", body(model=model, input="x")
    yield "a route that is none", 404, "/v1/nothing", body()


def exchange(server, request, patience=30):
    """Status line, headers and body, as far as they come; `None` for a connection that is just closed."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=patience) as connection:
        try:
            connection.sendall(request)
        except OSError:
            pass  # What it says stands in the answer.
        answer = b""
        try:
            while data := connection.recv(1 << 16):
                answer += data
        except OSError:
            pass
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None, answer


def raw(method, path, headers, payload=b""):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{method} {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode() + payload


def heads(server):
    host, payload = ("Host", f"127.0.0.1:{server.port}"), ask()[1]
    form, length = ("Content-Type", "application/json"), ("Content-Length", len(payload))
    path = "/v1/completions"
    yield "as it should be", 200, raw("POST", path, [host, form, length], payload)
    yield "a foreign Host", 403, raw("POST", path, [("Host", "evil.example"), form, length], payload)
    yield "no Host", 400, raw("POST", path, [form, length], payload)
    yield "a foreign Origin", 403, raw("POST", path, [host, form, length, ("Origin", "http://evil.example")], payload)
    yield "a form", 415, raw("POST", path, [host, ("Content-Type", "text/plain"), length], payload)
    yield "another method", 405, raw("DELETE", path, [host])
    yield "a header of 1 MiB", 431, raw("GET", "/health", [host, ("X-Long", "x" * MIB)])
    yield "1,000 headers", 431, raw("GET", "/health", [host] + [(f"X-{n}", "x") for n in range(1000)])
    yield "no HTTP", 400, b"\x16\x03\x01 hello\r\n\r\n"
    yield "a path outside", 404, raw("GET", "/../../etc/passwd", [host])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune")
    parser.add_argument("model")
    arguments = parser.parse_args()
    wrong, answers, canary = [], {}, "canary-7f3a"
    with Server(arguments.medtune, arguments.model, ["--access-log", "--name", "model"]) as server:
        fine = server.request(*[ask()[0], json.loads(ask()[1])])

        def check(what, expected, request):
            status, answer = exchange(server, request)
            said = answer.partition(b"\r\n\r\n")[2][:300].decode(errors="replace")
            answers[what] = [status, said]
            alive, _ = exchange(server, fine)
            # The HTTP library itself says the other three.
            clear = status in (200, 405, 431) or what == "no HTTP" or len(said) > 20
            if status != expected or alive != 200 or not clear:
                wrong.append({"what": what, "expected": expected, "got": status, "said": said, "afterwards": alive})

        for what, expected, path, payload in cases("model"):
            headers = [("Host", f"127.0.0.1:{server.port}"), ("Content-Type", "application/json")]
            check(what, expected, raw("POST", path, [*headers, ("Content-Length", len(payload))], payload))
        for what, expected, request in heads(server):
            check(what, expected, request)
        path, payload = ask(prompt=canary, temperature="hot")
        exchange(server, server.request(path, json.loads(payload)))
        begun = time.monotonic()
        status, _ = exchange(server, b"GET /health HTTP/1.1\r\nHost: loc")
        slow = time.monotonic() - begun
        server.stop()
        log = server.process.stderr.read().decode()
    passed = not wrong and canary not in log and 5 < slow < 20
    verdict = {"passed": passed, "requests": len(answers), "wrong": wrong, "half a header is heard for s": round(slow, 1),
               "texts in the log": canary in log, "answers": answers}
    print(json.dumps(verdict, indent=2, ensure_ascii=False))
    sys.exit(not passed)


if __name__ == "__main__":
    main()
