#!/usr/bin/env python3
"""Checks `medtune serve` with the Python clients that people have: `openai` and `ollama`.

Starts the server on a port of its own (or takes --url), asks through every call that the clients and the server have
in common, streamed and whole, and checks that errors arrive as the clients' own exceptions. Prints a JSON verdict; exits
with 1 when a check fails."""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import traceback
import urllib.request

import ollama
import openai

KEY = "a-key-for-the-check-only"
QUESTION = [{"role": "user", "content": "What is sepsis?"}]
SCHEMA = {
    "type": "object",
    "properties": {"letter": {"enum": ["A", "B"]}, "sure": {"type": "boolean"}},
    "required": ["letter", "sure"],
    "additionalProperties": False,
}

CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


@check
def openai_lists_models(client, _, model):
    assert model in [m.id for m in client.models.list()]
    assert client.models.retrieve(model).id == model


@check
def openai_chat_whole_and_streamed_agree(client, _, model):
    ask = {"model": model, "messages": QUESTION, "max_tokens": 24}
    whole = client.chat.completions.create(**ask)
    assert whole.choices[0].message.role == "assistant" and whole.usage.completion_tokens <= 24
    assert whole.choices[0].finish_reason in ("stop", "length")
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content, (text, whole)
    assert chunks[-1].usage == whole.usage


@check
def openai_logprobs_choices_and_seeds(client, _, model):
    ask = {"model": model, "messages": QUESTION, "max_tokens": 8, "temperature": 1.2, "seed": 1, "n": 2}
    first = client.chat.completions.create(**ask, logprobs=True, top_logprobs=5)
    again = client.chat.completions.create(**ask)
    assert [c.message.content for c in first.choices] == [c.message.content for c in again.choices]
    for choice in first.choices:
        assert choice.logprobs.content and all(len(t.top_logprobs) == 5 for t in choice.logprobs.content)


@check
def openai_structured_answer(client, _, model):
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    answer = client.chat.completions.create(model=model, messages=QUESTION, max_tokens=48, response_format=form)
    value = json.loads(answer.choices[0].message.content)
    assert value["letter"] in "AB" and isinstance(value["sure"], bool), value


@check
def openai_completion_whole_and_streamed_agree(client, _, model):
    ask = {"model": model, "prompt": "Sepsis is", "max_tokens": 12, "stop": ["\n\n\n"]}
    whole = client.completions.create(**ask, logprobs=2)
    assert len(whole.choices[0].logprobs.token_logprobs) == whole.usage.completion_tokens
    streamed = "".join(c.choices[0].text for c in client.completions.create(**ask, stream=True) if c.choices)
    assert streamed == whole.choices[0].text


@check
def openai_errors_are_its_exceptions(client, _, model):
    def raises(kind, **changes):
        try:
            client.chat.completions.create(**({"model": model, "messages": QUESTION, "max_tokens": 1} | changes))
        except kind as error:
            return error
        raise AssertionError(f"no {kind.__name__}")

    assert raises(openai.NotFoundError, model="gpt-4").code == "model_not_found"
    assert raises(openai.BadRequestError, n=100).param == "n"
    long = [{"role": "user", "content": "word " * 20_000}]
    assert raises(openai.BadRequestError, messages=long).code == "context_length_exceeded"
    try:
        client.embeddings.create(model=model, input="a", encoding_format="float")
        raise AssertionError("embeddings")
    except openai.APIStatusError as error:
        assert error.status_code == 501
    try:
        openai.OpenAI(base_url=client.base_url, api_key="wrong", max_retries=0).models.list()
        raise AssertionError("a wrong key")
    except openai.AuthenticationError:
        pass


@check
def openai_stream_can_be_left(client, _, model):
    stream = client.chat.completions.create(model=model, messages=QUESTION, stream=True)
    next(iter(stream))
    stream.close()


@check
def ollama_lists_and_shows(_, client, model):
    listed = client.list().models
    assert listed[0].model == f"{model}:latest" and listed[0].modified_at and listed[0].details.family
    assert client.show(model).modelinfo["general.architecture"]
    assert client.ps().models[0].expires_at


@check
def ollama_chat_whole_and_streamed_agree(_, client, model):
    ask = {"model": model, "messages": QUESTION, "options": {"num_predict": 24}}
    whole = client.chat(**ask)
    assert whole.done and whole.done_reason in ("stop", "length") and whole.eval_count <= 24
    assert whole.total_duration >= whole.eval_duration > 0
    parts = list(client.chat(**ask, stream=True))
    assert "".join(p.message.content for p in parts) == whole.message.content and parts[-1].done


@check
def ollama_generate_whole_and_streamed_agree(_, client, model):
    ask = {"model": model, "prompt": "What is sepsis?", "options": {"num_predict": 24, "seed": 1, "temperature": 1.0}}
    whole = client.generate(**ask)
    assert "".join(p.response for p in client.generate(**ask, stream=True)) == whole.response
    assert client.generate(model=model, keep_alive=0).done_reason == "unload"


@check
def ollama_structured_answer(_, client, model):
    answer = client.generate(model=model, prompt="Is sepsis dangerous?", format=SCHEMA)
    assert json.loads(answer.response)["letter"] in "AB"


@check
def ollama_errors_are_its_exceptions(_, client, model):
    for call, status in [
        (lambda: client.chat(model="llama3", messages=QUESTION), 404),
        (lambda: client.embed(model=model, input="a"), 501),
        (lambda: client.generate(model=model, prompt="word " * 20_000), 400),
        (lambda: list(client.generate(model=model, prompt="word " * 20_000, stream=True)), 400),
    ]:
        try:
            call()
        except ollama.ResponseError as error:
            assert error.status_code == status and error.error, error
        else:
            raise AssertionError(f"no error {status}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(medtune, model, adapter):
    port = free_port()
    command = [medtune, "serve", model, "--bind", f"127.0.0.1:{port}"]
    server = subprocess.Popen(command + (["--adapter", adapter] if adapter else []), env=os.environ | {"MEDTUNE_API_KEY": KEY})
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{url}/health").read()
            return server, url
        except OSError:
            if server.poll() is not None:
                sys.exit(f"the server ended with {server.returncode}")
            time.sleep(0.1)
    server.kill()
    sys.exit("the server did not start")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("medtune", help="the program")
    parser.add_argument("model", help="what to serve")
    parser.add_argument("--adapter")
    args = parser.parse_args()
    server, url = start(args.medtune, args.model, args.adapter)
    try:
        theirs = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
        other = ollama.Client(host=url, headers={"Authorization": f"Bearer {KEY}"})
        model = theirs.models.list().data[0].id
        verdict = {}
        for name, function in CHECKS.items():
            try:
                function(theirs, other, model)
                verdict[name] = "ok"
            except Exception as error:  # whatever a client raises is a verdict
                traceback.print_exc()
                verdict[name] = f"{type(error).__name__}: {error}"
    finally:
        server.terminate()
        code = server.wait(40)
    verdict["ends_when_asked_to"] = "ok" if code == 0 else f"status {code}"
    print(json.dumps({"openai": openai.__version__, "ollama": version("ollama"), "checks": verdict}, indent=1))
    sys.exit(any(result != "ok" for result in verdict.values()))


def version(package):
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    main()
