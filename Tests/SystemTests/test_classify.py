"""Text classification in Hugging Face's shape, against what the transformers pipeline gives."""

import json
import shutil

import pytest
import requests
from conftest import MODELS

TEXTS = [
    "Where is my card?", "I was charged twice for one withdrawal.", "", " ", "naïve Zoë flew to São Paulo 🚀",
    "word " * 100, "a", "[CLS] [SEP] [MASK]", "Tab\tand\nline",
]
LABELS = ["card_arrival", "charge", "none of both", "Größe", "O"]
SCORE_TOLERANCE = 1e-4


def make_model(folder, problem=None, labels=LABELS):
    """A small random BERT classifier with the demo model's tokenizer."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizer = json.loads((MODELS / "ner-wikiann" / "tokenizer.json").read_text())
    torch.manual_seed(7)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer["model"]["vocab"]), hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=96, max_position_embeddings=64, initializer_range=0.4, problem_type=problem,
        id2label=dict(enumerate(labels)), label2id={label: index for index, label in enumerate(labels)},
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(MODELS / "ner-wikiann" / name, folder)
    return folder


@pytest.fixture(scope="module")
def classifiers(own_module_suite, tmp_path_factory):
    """A suite with classifiers, and the pipelines of the same folders."""
    transformers = pytest.importorskip("transformers")
    pipelines = {}
    for name, problem, labels in [
        ("intents", None, LABELS), ("topics", "multi_label_classification", LABELS), ("spam", None, ["spam"]),
        ("rating", "regression", ["stars"]),
    ]:
        folder = make_model(tmp_path_factory.mktemp(name), problem, labels)
        own_module_suite.llmos("models", "import", str(folder), "--name", name)
        pipelines[name] = transformers.pipeline(
            "text-classification", model=str(folder), truncation=True, max_length=64
        )
    return own_module_suite, pipelines


def classify(suite, model, inputs, **parameters):
    body = {"model": model, "inputs": inputs, "parameters": parameters}
    response = requests.post(f"{suite.url}/v1/classify", json=body, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


def assert_same(found, expected):
    assert [label["label"] for label in found] == [label["label"] for label in expected]
    for one, other in zip(found, expected):
        assert list(one) == ["label", "score"]
        assert one["score"] == pytest.approx(other["score"], abs=SCORE_TOLERANCE, rel=SCORE_TOLERANCE)


@pytest.mark.parametrize("model", ["intents", "topics", "spam", "rating"])
@pytest.mark.parametrize("function", [None, "softmax", "sigmoid", "none"])
def test_labels_are_those_of_the_pipeline(classifiers, model, function):
    suite, pipelines = classifiers
    parameters = {} if function is None else {"function_to_apply": function}
    for text in TEXTS:
        expected = pipelines[model](text, top_k=None, **parameters)
        assert_same(classify(suite, model, text, top_k=None, **parameters), expected)
        assert_same(classify(suite, model, text, top_k=2, **parameters), expected[:2])
        assert_same(classify(suite, model, text, **parameters), expected[:1])


def test_several_texts_give_a_list_each(classifiers):
    suite, pipelines = classifiers
    texts = TEXTS * 10
    found = classify(suite, "intents", texts, top_k=3)
    expected = pipelines["intents"](TEXTS, top_k=3) * 10
    assert len(found) == len(texts)
    for one, other in zip(found, expected):
        assert_same(one, other)


@pytest.mark.parametrize("change,parameter", [
    ({"model": "support-chat"}, "model"), ({"inputs": []}, "inputs"), ({"inputs": ["a", 1]}, "inputs[1]"),
    ({"parameters": {"top_k": 0}}, "parameters.top_k"), ({"parameters": {"top_k": "1"}}, "parameters.top_k"),
    ({"parameters": {"function_to_apply": "tanh"}}, "parameters.function_to_apply"),
    ({"parameters": {"stride": 1}}, "parameters.stride"), ({"text": "a"}, None),
])
def test_what_is_wrong_is_refused_by_name(classifiers, change, parameter):
    body = {"model": "intents", "inputs": "a", **change}
    response = requests.post(f"{classifiers[0].url}/v1/classify", json=body, timeout=60)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == parameter


def test_other_models_do_not_classify_and_classifiers_do_nothing_else(classifiers):
    suite, _ = classifiers
    body = {"model": "intents", "inputs": "a"}
    response = requests.post(f"{suite.url}/v1/ner", json=body, timeout=60)
    assert response.status_code == 400 and "text-classification" in response.json()["error"]["message"]
    body["model"] = "nobody"
    assert requests.post(f"{suite.url}/v1/classify", json=body, timeout=60).status_code == 404


def test_the_command_line_prints_labels(classifiers):
    suite, pipelines = classifiers
    expected = pipelines["intents"](TEXTS[0], top_k=None)
    lines = suite.llmos("classify", "--model", "intents", TEXTS[0]).stdout.splitlines()
    assert lines[0].split() == ["LABEL", "SCORE"]
    assert [line.rsplit(None, 1)[0] for line in lines[1:]] == [label["label"] for label in expected]
    found = json.loads(suite.llmos("classify", "--model", "intents", "--top", "1", "--json", TEXTS[0]).stdout)
    assert_same(found, expected[:1])
