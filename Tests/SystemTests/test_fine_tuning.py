"""Files and fine-tuning jobs through the stock OpenAI client."""

import json
import time

import openai
import pytest
import requests
from conftest import eventually

ROWS = [
    {"text": f"{verb} my {thing} {when}", "label": label}
    for verb, label in [("block", "block"), ("unblock", "unblock"), ("order", "order")]
    for thing in ["card", "account", "phone", "app"]
    for when in ["now", "please", "today", "tomorrow"]
]


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def tuning(own_module_suite):
    """The client of a suite that trains."""
    if "training" not in own_module_suite.ps():
        pytest.skip("the suite has no training service")
    return openai.OpenAI(base_url=f"{own_module_suite.url}/v1", api_key="none", max_retries=0, timeout=120)


@pytest.fixture
def files(own_module_suite):
    return openai.OpenAI(base_url=f"{own_module_suite.url}/v1", api_key="none", max_retries=0, timeout=120)


def upload(client, rows=ROWS, name="intents.jsonl"):
    return client.files.create(file=(name, jsonl(rows).encode()), purpose="fine-tune")


def test_a_file_is_uploaded_read_listed_and_deleted(files, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(jsonl(ROWS))
    file = files.files.create(file=path, purpose="fine-tune")
    assert file.filename == "rows.jsonl" and file.purpose == "fine-tune" and file.status == "processed"
    assert file.bytes > 0 and abs(file.created_at - time.time()) < 600
    assert files.files.retrieve(file.id) == file
    rows = [json.loads(line) for line in files.files.content(file.id).text.splitlines()]
    assert rows == ROWS
    other = upload(files, ROWS[:3])
    assert [entry.id for entry in files.files.list()][:2] == [other.id, file.id]
    assert [entry.id for entry in files.files.list(limit=1)][:2] == [other.id, file.id]
    assert files.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        files.files.retrieve(file.id)
    files.files.delete(other.id)


def test_stored_rows_come_back_byte_for_byte(files):
    """Rows in the stored form are what was uploaded; others lose blanks and what cannot be learnt from."""
    chats = [{"messages": [{"role": "user", "content": "Größe?\n"}, {"role": "assistant", "content": "L"}]}]
    for rows in [ROWS, chats, [{"tokens": ["Ada", "left"], "tags": ["B-PER", "O"]}]]:
        content = "".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in rows).encode()
        file = files.files.create(file=("rows.jsonl", content), purpose="fine-tune")
        assert file.bytes == len(content)
        assert files.files.content(file.id).read() == content
        files.files.delete(file.id)
    file = upload(files, [{"label": "b", "id": 7, "text": "a"}])
    assert files.files.content(file.id).text == '{"text":"a","label":"b"}\n'
    files.files.delete(file.id)


def test_a_large_file_passes_through(files):
    rows = [{"text": f"{index} " + "word " * 100, "label": f"l{index % 7}"} for index in range(40_000)]
    file = upload(files, rows, "large.jsonl")
    assert file.bytes > 16 << 20
    count = 0
    with files.files.with_streaming_response.content(file.id) as response:
        for line in response.iter_lines():
            assert json.loads(line) == rows[count]
            count += 1
    assert count == len(rows)
    files.files.delete(file.id)


@pytest.mark.parametrize("content,message", [
    (b"no JSON\n", "line 1"), (b'{"text":"a","label":"b"}\n{"text":1}\n', "line 2"), (b"", "no rows"),
])
def test_what_is_no_data_is_refused(files, content, message):
    before = len(list(files.files.list()))
    with pytest.raises(openai.BadRequestError) as error:
        files.files.create(file=("bad.jsonl", content), purpose="fine-tune")
    assert message in error.value.message
    with pytest.raises(openai.BadRequestError):
        files.files.create(file=("good.jsonl", jsonl(ROWS).encode()), purpose="assistants")
    assert len(list(files.files.list())) == before


def test_an_upload_that_breaks_off_leaves_nothing(files):
    before = len(list(files.files.list()))

    def parts():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{"text":"a","label":"b"}\n'
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError):
        requests.post(
            f"{files.base_url}files", data=parts(), headers={"content-type": "multipart/form-data; boundary=b"}, timeout=60
        )
    assert len(list(files.files.list())) == before


def finished(client, job):
    def is_over():
        return client.fine_tuning.jobs.retrieve(job.id).status in ("succeeded", "failed", "cancelled")

    eventually(is_over, "the job to end", seconds=240)
    return client.fine_tuning.jobs.retrieve(job.id)


@pytest.fixture(scope="module")
def base(own_module_suite, tmp_path_factory):
    """A small random encoder to start from."""
    from test_classify import make_model

    folder = make_model(tmp_path_factory.mktemp("base"))
    own_module_suite.llmos("models", "import", str(folder), "--name", "tiny")
    return "tiny"


def test_a_file_becomes_a_model_that_classifies(tuning, base, own_module_suite):
    file = upload(tuning)
    job = tuning.fine_tuning.jobs.create(
        model=base, training_file=file.id, suffix="intents", seed=3,
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 8}}},
        extra_body={"llmos": {"settings": {"dropout": 0}}},
    )
    assert job.object == "fine_tuning.job" and job.training_file == file.id and job.seed == 3
    assert job.hyperparameters.n_epochs == 2 and job.status in ("queued", "running")
    assert job.id in [entry.id for entry in tuning.fine_tuning.jobs.list(limit=1)]
    job = finished(tuning, job)
    assert job.status == "succeeded", job.error
    assert job.fine_tuned_model == "tiny-intents@1" and job.finished_at >= job.created_at
    events = list(tuning.fine_tuning.jobs.list_events(job.id, limit=5))
    assert events[0].message == "The job is succeeded." and {e.object for e in events} == {"fine_tuning.job.event"}
    assert len({event.id for event in events}) == len(events) > 5
    assert any(event.type == "metrics" for event in events)
    url = f"{tuning.base_url}fine_tuning/jobs/{job.id}/events"
    with requests.get(url, params={"stream": "true"}, stream=True, timeout=60) as response:
        lines = [line.decode() for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    streamed = [json.loads(line.removeprefix("data: "))["id"] for line in lines[:-1]]
    assert streamed == [event.id for event in reversed(events)]
    answer = requests.post(
        f"{tuning.base_url}classify", json={"model": job.fine_tuned_model, "inputs": ROWS[0]["text"]}, timeout=60
    )
    assert answer.status_code == 200 and answer.json()[0]["label"] in {"block", "unblock", "order"}


def test_a_chat_model_learns_answers(tuning):
    """Two files, as OpenAI's guide has them; the result answers as it was taught."""
    rows = [
        {"messages": [{"role": "user", "content": f"{please}say the {word}"}, {"role": "assistant", "content": word}]}
        for please in ["", "Please ", "Now ", "Kindly "] for word in ["yes", "no"]
    ]
    training, validation = (upload(tuning, part, "chat.jsonl") for part in (rows * 4, rows[:2]))
    job = tuning.fine_tuning.jobs.create(
        model="support-chat", training_file=training.id, validation_file=validation.id, suffix="yes-no",
        hyperparameters={"n_epochs": 4, "batch_size": 4, "learning_rate_multiplier": 20},
        extra_body={"llmos": {"settings": {"warmup": 0.1}}},
    )
    assert (job.training_file, job.validation_file) == (training.id, validation.id)
    assert job.hyperparameters.learning_rate_multiplier == 20
    job = finished(tuning, job)
    assert job.status == "succeeded", job.error
    for row in rows[:2]:
        answer = tuning.chat.completions.create(
            model=job.fine_tuned_model, messages=row["messages"][:1], temperature=0, max_tokens=8
        )
        assert answer.choices[0].message.content == row["messages"][1]["content"]


def test_the_same_two_files_can_be_used_again(tuning, base):
    training, validation = upload(tuning), upload(tuning, ROWS[:8])
    for suffix in ["first", "second"]:
        job = tuning.fine_tuning.jobs.create(
            model=base, training_file=training.id, validation_file=validation.id, suffix=suffix,
            hyperparameters={"n_epochs": 1},
        )
        assert finished(tuning, job).status == "succeeded"


def test_a_job_is_cancelled(tuning, base):
    file = upload(tuning)
    job = tuning.fine_tuning.jobs.create(
        model=base, training_file=file.id, hyperparameters={"n_epochs": 1000}, suffix="long"
    )
    tuning.fine_tuning.jobs.cancel(job.id)
    assert finished(tuning, job).status == "cancelled"


def test_what_is_wrong_is_refused_by_name(tuning, base):
    file = upload(tuning)
    for changes, parameter in [
        ({"training_file": "file-nobody"}, "training_file"), ({"model": "nobody"}, "model"),
        ({"suffix": "A B"}, "suffix"), ({"extra_body": {"llmos": {"settings": {"epochz": 1}}}}, "llmos.settings"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
    ]:
        with pytest.raises(openai.BadRequestError) as error:
            tuning.fine_tuning.jobs.create(**{"model": base, "training_file": file.id, **changes})
        assert error.value.param == parameter, error.value
    with pytest.raises(openai.NotFoundError):
        tuning.fine_tuning.jobs.retrieve("job-nobody")
