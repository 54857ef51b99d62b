"""What PyTorch computes for a batch: gradients of every parameter, and the losses of plain SGD steps.

Reads the JSON file of the first argument: folder (a model), task, sequences (ids and labels; -1 is
ignored), scale, rate, steps. Writes to the folder of the second one gradients.safetensors and
losses.json."""
import json, sys, torch
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, AutoModelForSequenceClassification,
                          AutoModelForTokenClassification)

case, out = json.load(open(sys.argv[1])), sys.argv[2]
torch.set_num_threads(1)
classes = {"text-generation": AutoModelForCausalLM, "text-classification":
           AutoModelForSequenceClassification, "token-classification": AutoModelForTokenClassification}
model = classes[case["task"]].from_pretrained(case["folder"], dtype=torch.float32).eval()


def loss():
    total = 0
    for sequence in case["sequences"]:
        logits = model(input_ids=torch.tensor([sequence["ids"]])).logits
        labels = torch.tensor(sequence["labels"])
        if case["task"] == "text-classification":
            labels = labels[:1]
        total = total + torch.nn.functional.cross_entropy(
            logits.reshape(len(labels), -1), labels, ignore_index=-1, reduction="sum")
    return case["scale"] * total


losses = []
for step in range(case["steps"]):
    model.zero_grad()
    value = loss()
    value.backward()
    losses.append(value.item())
    if step == 0:
        save_file({n: p.grad.contiguous().clone() for n, p in model.named_parameters()
                   if p.grad is not None}, out + "/gradients.safetensors")
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p -= case["rate"] * p.grad
json.dump(losses, open(out + "/losses.json", "w"))
