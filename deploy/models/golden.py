"""Writes golden.json of a model folder: what transformers computes, in f32 arithmetic, for the inputs of the golden.json
that is there. Usage: golden.py FOLDER   (in a Python environment with torch and transformers)"""

import json
import pathlib
import sys

import torch
import transformers

GENERATED_MAX = 80
# Conversations whose logits are kept: the first ones, and those of several turns.
LOGITS_OF_FIRST = 6
STRATEGIES = ["none", "simple", "first", "average", "max"]


def rounded(values, digits=5):
    return [round(float(value), digits) for value in values]


def chat(folder, golden):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    conversations = []
    for index, messages in enumerate(c["messages"] for c in golden["conversations"]):
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        with torch.no_grad():
            output = model.generate(**inputs, max_new_tokens=GENERATED_MAX, do_sample=False)
            generated = output[0, len(ids):].tolist()
            conversation = {
                "messages": messages, "prompt": prompt, "ids": ids, "generated": generated,
                "answer": tokenizer.decode(generated, skip_special_tokens=True).strip(),
            }
            if index < LOGITS_OF_FIRST or len(messages) > 1:
                conversation["last_logits"] = rounded(model(**inputs).logits[0, -1])
        conversations.append(conversation)
    return {"conversations": conversations}


def plain(entity):
    """An entity as JSON: transformers' numbers are NumPy's."""
    values = {}
    for key, value in entity.items():
        is_score = key == "score"
        values[key] = round(float(value), 6) if is_score else (int(value) if hasattr(value, "item") else value)
    return values


def entities(folder, golden):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    pipeline = transformers.pipeline("token-classification", model=model, tokenizer=tokenizer)
    sentences = []
    for text in (sentence["text"] for sentence in golden):
        encoded = tokenizer(text, return_offsets_mapping=True)
        ids = encoded["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long)).logits[0]
        found = {strategy: [plain(e) for e in pipeline(text, aggregation_strategy=strategy)] for strategy in STRATEGIES}
        sentences.append({
            "text": text, "ids": ids, "offsets": [list(pair) for pair in encoded["offset_mapping"]],
            "logits": [rounded(row) for row in logits], "entities": found,
        })
    return sentences


def main():
    folder = pathlib.Path(sys.argv[1])
    path = folder / "golden.json"
    golden = json.loads(path.read_text())
    made = chat(folder, golden) if isinstance(golden, dict) else entities(folder, golden)
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
