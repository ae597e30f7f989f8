#!/usr/bin/env python3
"""Does the Modelfile that `medtune export --to ollama` writes render, in Go's own text/template, what the model's chat
template renders in Jinja? For ChatML, Qwen, Llama 3, Gemma and Mistral, as medtune ships them and as their makers do.

    check_modelfile.py MEDTUNE BASE [--templates DIR] [--go GO]

BASE is a small model in Hugging Face layout with a byte-level BPE vocabulary (`models/base`); DIR holds templates as
the project chat_templates collects them (`*.jinja`). Needs jinja2 and Go 1.19 or later. A JSON verdict, exit 1 on failure.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from jinja2.sandbox import ImmutableSandboxedEnvironment

FAMILIES = {
    "chatml": (None, ["<|im_start|>", "<|im_end|>"], "chatml"),
    "qwen": (None, ["<|im_start|>", "<|im_end|>"], "qwen2.5-instruct"),
    "llama3": ("<|begin_of_text|>", ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], "llama-3-instruct"),
    "gemma": ("<bos>", ["<eos>", "<start_of_turn>", "<end_of_turn>"], "gemma-it"),
    "mistral": ("<s>", ["[INST]", "[/INST]", "</s>"], "mistral-instruct"),
}

USER, ANSWER, SYSTEM = "user", "assistant", "system"
CONVERSATIONS = [
    [(USER, "What lowers a fever?")],
    [(USER, "Hi"), (ANSWER, "Hello."), (USER, "Does aspirin thin the blood?")],
    [(SYSTEM, "Answer briefly."), (USER, "What is sepsis?")],
    [(SYSTEM, "Two\nlines."), (USER, "a"), (ANSWER, "b"), (USER, "c"), (ANSWER, "d"), (USER, "e")],
    [(USER, "日本語 – naïve … 💊"), (ANSWER, "{{ .Role }} {% raw %} `x` \"y\""), (USER, "5 < 6 && 7 > 3")],
    [(USER, "inner  spaces\n\n\tand tabs"), (ANSWER, "one\n\n\ntwo"), (USER, "\\n is no line end")],
]


def jinja(source, bos, eos, conversation):
    """The text as transformers renders it; None where the template refuses the conversation."""

    class Refused(Exception):
        pass

    def refuse(message):
        raise Refused(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    messages = [{"role": role, "content": content} for role, content in conversation]
    try:
        text = environment.from_string(source).render(
            messages=messages, bos_token=bos or "", eos_token=eos, add_generation_prompt=True
        )
    except Refused:
        return None
    # Ollama's runner writes the BOS itself.
    return text.removeprefix(bos or "")


def model(base, folder, source, bos, tokens):
    """BASE with these control tokens in the place of its rarest, and with this template."""
    shutil.copytree(base, folder)
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    vocabulary, merges = tokenizer["model"]["vocab"], tokenizer["model"]["merges"]
    names = [added["content"] for added in tokenizer["added_tokens"]]
    template = dict(tokenizer["added_tokens"][0])
    for token in [bos, *tokens]:
        if token is None or token in names:
            continue
        merged = merges.pop()
        left, right = merged if isinstance(merged, list) else merged.split(" ")
        number = vocabulary.pop(left + right)
        vocabulary[token] = number
        tokenizer["added_tokens"].append({**template, "id": number, "content": token})
    tokenizer["added_tokens"].sort(key=lambda added: added["id"])
    file.write_text(json.dumps(tokenizer, ensure_ascii=False))
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    config.update(chat_template=source, bos_token=bos, eos_token=tokens[-1], additional_special_tokens=tokens)
    file.write_text(json.dumps(config))


def builtins():
    source = pathlib.Path(__file__).parent.parent / "crates/model/src/template/builtin.rs"
    constants = re.findall(r'const ([A-Z0-9]+): &str = r(#*)"(.*?)"\2;', source.read_text(), re.S)
    return {name.lower(): text for name, _, text in constants}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medtune")
    parser.add_argument("base", type=pathlib.Path)
    parser.add_argument("--templates", type=pathlib.Path)
    parser.add_argument("--go", default="go")
    args = parser.parse_args()
    program = pathlib.Path(__file__).with_name("check_modelfile.go")
    verdict, passed = {}, True
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        renderer = scratch / "render"
        subprocess.run([args.go, "build", "-o", renderer, program], check=True)
        shipped, cases = builtins(), {}
        for family, (bos, tokens, file) in FAMILIES.items():
            cases[family] = (shipped[family], bos, tokens)
            if args.templates:
                # Written over lines to be read; that project takes the indents and line ends out before use.
                text = (args.templates / f"{file}.jinja").read_text().replace("    ", "").replace("\n", "")
                cases[f"{family}, its makers'"] = (text, bos, tokens)
        for number, (name, (source, bos, tokens)) in enumerate(cases.items()):
            folder, out = scratch / f"model-{number}", scratch / f"out-{number}"
            model(args.base, folder, source, bos, tokens)
            command = [args.medtune, "export", folder, "--to", "ollama", "--quant", "q8_0", "--out", out]
            run = subprocess.run(command, capture_output=True, text=True)
            if run.returncode != 0:
                verdict[name], passed = {"export": run.stderr.strip()}, False
                continue
            modelfile = (out / "Modelfile").read_text()
            template = re.search(r'^TEMPLATE """(.*?)"""$', modelfile, re.S | re.M).group(1)
            wanted = [(talk, jinja(source, bos, tokens[-1], talk)) for talk in CONVERSATIONS]
            wanted = [(talk, text) for talk, text in wanted if text is not None]
            asked = [[{"role": role, "content": content} for role, content in talk] for talk, _ in wanted]
            reply = subprocess.run(
                [renderer], input=json.dumps({"template": template, "conversations": asked}),
                capture_output=True, text=True, check=True,
            )
            results = json.loads(reply.stdout)
            wrong = [
                {"expected": text, "got": result.get("error") or result["text"]}
                for (_, text), result in zip(wanted, results)
                if result.get("error") or result["text"] != text
            ]
            verdict[name] = {"conversations": len(wanted), "wrong": wrong}
            passed = passed and not wrong and len(wanted) > 1
    print(json.dumps({"passed": passed, "templates": verdict}, indent=2, ensure_ascii=False))
    sys.exit(not passed)


if __name__ == "__main__":
    main()
