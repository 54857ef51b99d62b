"""Chat through the stock OpenAI client, against the answers that transformers computed."""

import concurrent.futures
import json
import socket

import openai
import pytest
import requests
from conftest import eventually, golden

CONVERSATIONS = golden("support-chat")["conversations"]
MODEL = "support-chat"


def ask(client, messages, **options):
    return client.chat.completions.create(model=MODEL, messages=messages, temperature=0, max_tokens=80, **options)


def stream(client, messages, **options):
    """The text, the finish reason and the usage of a streamed answer."""
    text, finish, usage = "", None, None
    for chunk in ask(client, messages, stream=True, stream_options={"include_usage": True}, **options):
        if not chunk.choices:
            usage = chunk.usage
            continue
        text += chunk.choices[0].delta.content or ""
        finish = chunk.choices[0].finish_reason or finish
    return text, finish, usage


def expected_finish(conversation):
    return "stop" if conversation["generated"][-1] == 2 else "length"


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda c: c["messages"][-1]["content"][:30])
def test_answers_are_golden(client, conversation):
    answer = ask(client, conversation["messages"])
    assert answer.choices[0].message.content == conversation["answer"]
    assert answer.choices[0].finish_reason == expected_finish(conversation)
    assert answer.usage.prompt_tokens == len(conversation["ids"])
    assert answer.usage.completion_tokens == len(conversation["generated"])
    assert stream(client, conversation["messages"]) == (
        conversation["answer"],
        expected_finish(conversation),
        answer.usage,
    )


def test_eight_parallel_streams_are_all_golden(client):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda c: stream(client, c["messages"])[0], CONVERSATIONS[:24]))
    assert answers == [c["answer"] for c in CONVERSATIONS[:24]]


def test_max_tokens_ends_an_answer(client):
    answer = client.chat.completions.create(
        model=MODEL, messages=CONVERSATIONS[0]["messages"], temperature=0, max_completion_tokens=3
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3
    assert CONVERSATIONS[0]["answer"].startswith(answer.choices[0].message.content)


def test_a_stop_text_ends_an_answer_and_is_not_part_of_it(client):
    whole = CONVERSATIONS[0]["answer"]
    for stop in [whole[20:27], whole[5:6], "not in there"]:
        answer = ask(client, CONVERSATIONS[0]["messages"], stop=[stop])
        assert answer.choices[0].message.content == whole.split(stop)[0]
        assert answer.choices[0].finish_reason == "stop"
        assert stream(client, CONVERSATIONS[0]["messages"], stop=[stop])[0] == whole.split(stop)[0]


def test_a_seed_makes_sampling_repeatable(client):
    def sample(seed):
        return client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hello"}], temperature=2, seed=seed, max_tokens=30
        ).choices[0].message.content

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(8)}) > 1


def test_the_models_are_listed(client):
    models = {model.id for model in client.models.list().data}
    assert models == {"support-chat", "ner-wikiann"}
    assert client.models.retrieve("support-chat").id == "support-chat"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_a_stream_has_the_form_openai_gives_it(suite):
    body = {
        "model": MODEL, "messages": CONVERSATIONS[0]["messages"], "temperature": 0, "stream": True,
        "stream_options": {"include_usage": True},
    }
    response = requests.post(f"{suite.url}/v1/chat/completions", json=body, timeout=60)
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in response.text.split("\n\n") if line and not line.startswith(":")]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert len({(chunk["id"], chunk["created"], chunk["object"]) for chunk in chunks}) == 1
    assert chunks[0]["object"] == "chat.completion.chunk"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] > 0
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-3:-1]] == [None, "stop"]


@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_disconnects_stops_its_generation(suite, streamed):
    before = suite.metrics("inference")
    host, port = suite.url.removeprefix("http://").split(":")
    # At this temperature the model hardly ever ends its answer by itself.
    body = json.dumps({
        "model": MODEL, "messages": [{"role": "user", "content": "hello"}], "temperature": 2,
        "max_tokens": 1000, "stream": streamed,
    })
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}".encode()
        )
        eventually(
            lambda: suite.metrics("inference")["vllm:generation_tokens_total"]
            > before["vllm:generation_tokens_total"],
            "the first token",
        )
    eventually(lambda: suite.metrics("inference")["vllm:num_requests_running"] == 0, "the engine to be idle")
    made = suite.metrics("inference")["vllm:generation_tokens_total"] - before["vllm:generation_tokens_total"]
    assert made < 1000
