"""Entities in Hugging Face's shape, against what the transformers pipeline gave."""

import pytest
import requests
from conftest import golden

SENTENCES = golden("ner-wikiann")
STRATEGIES = ["none", "simple", "first", "average", "max"]
SCORE_TOLERANCE = 1e-3


def ner(suite, inputs, **parameters):
    body = {"model": "ner-wikiann", "inputs": inputs, "parameters": parameters}
    response = requests.post(f"{suite.url}/v1/ner", json=body, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert one.keys() == other.keys()
        assert one["score"] == pytest.approx(other["score"], abs=SCORE_TOLERANCE)
        assert {k: v for k, v in one.items() if k != "score"} == {k: v for k, v in other.items() if k != "score"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_entities_are_golden(suite, strategy):
    for sentence in SENTENCES:
        assert_same(ner(suite, sentence["text"], aggregation_strategy=strategy), sentence["entities"][strategy])


def test_several_texts_give_a_list_each(suite):
    found = ner(suite, [sentence["text"] for sentence in SENTENCES], aggregation_strategy="simple")
    assert len(found) == len(SENTENCES)
    for entities, sentence in zip(found, SENTENCES):
        assert_same(entities, sentence["entities"]["simple"])


def test_simple_is_the_default(suite):
    body = {"model": "ner-wikiann", "inputs": SENTENCES[0]["text"]}
    found = requests.post(f"{suite.url}/v1/ner", json=body, timeout=60).json()
    assert_same(found, SENTENCES[0]["entities"]["simple"])


def test_ignored_labels_are_left_out(suite):
    text = SENTENCES[0]["text"]
    assert {e["entity_group"] for e in ner(suite, text, ignore_labels=["O", "PER"])} == {"ORG", "LOC"}
    assert "O" in {e["entity_group"] for e in ner(suite, text, ignore_labels=[])}


def test_a_long_text_is_read_in_windows(suite):
    sentence = SENTENCES[0]["text"]
    text = " ".join([sentence] * 200)
    without = ner(suite, text)
    windows = ner(suite, text, stride=64)
    assert len(windows) > len(without)
    assert windows[-1]["end"] > len(text) - len(sentence)
    for entity in windows:
        # At a window's edge an entity may begin within a word.
        assert text[entity["start"]:entity["end"]].lower() == entity["word"].removeprefix("##")


def test_an_empty_text_has_no_entities(suite):
    assert ner(suite, "") == []
    assert ner(suite, ["", SENTENCES[0]["text"]])[0] == []
