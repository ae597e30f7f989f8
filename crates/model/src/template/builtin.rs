//! The conversation formats of well-known models, for a base that brings no template.

/// A template with the tokens that it writes.
pub(super) struct Builtin {
    name: &'static str,
    pub(super) source: &'static str,
    pub(super) bos: Option<&'static str>,
    pub(super) eos: &'static str,
}

pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    ALL.into_iter().find(|builtin| builtin.name == name)
}

pub(super) fn names() -> String {
    ALL.map(|builtin| builtin.name).join(", ")
}

const ALL: [&Builtin; 6] = [
    &Builtin { name: "chatml", source: CHATML, bos: None, eos: "<|im_end|>" },
    &Builtin { name: "gemma", source: GEMMA, bos: Some("<bos>"), eos: "<eos>" },
    &Builtin { name: "llama3", source: LLAMA3, bos: Some("<|begin_of_text|>"), eos: "<|eot_id|>" },
    &Builtin { name: "mistral", source: MISTRAL, bos: Some("<s>"), eos: "</s>" },
    &Builtin { name: "qwen", source: QWEN, bos: None, eos: "<|im_end|>" },
    &Builtin { name: "smollm2", source: SMOLLM2, bos: None, eos: "<|im_end|>" },
];

const CHATML: &str = r"{%- for message in messages -%}
    {{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\n' -}}
{%- endif -%}
";

const QWEN: &str = r"{%- if messages[0]['role'] != 'system' -%}
    {{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\n' -}}
{%- endif -%}
";

const SMOLLM2: &str = r"{%- if messages[0]['role'] != 'system' -%}
    {{- '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\n' -}}
{%- endif -%}
";

const LLAMA3: &str = r"{{- bos_token -}}
{%- for message in messages -%}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' -}}
    {{- message['content'] | trim + '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
{%- endif -%}
";

const GEMMA: &str = r"{{- bos_token -}}
{%- for message in messages -%}
    {%- if message['role'] == 'system' -%}
        {{- raise_exception('System role not supported') -}}
    {%- endif -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}
    {%- endif -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<start_of_turn>model\n' -}}
{%- endif -%}
";

const MISTRAL: &str = r"{%- set system = '' -%}
{%- set turns = messages -%}
{%- if messages[0]['role'] == 'system' -%}
    {%- set system = messages[0]['content'] + '\n\n' -%}
    {%- set turns = messages[1:] -%}
{%- endif -%}
{{- bos_token -}}
{%- for message in turns -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{- raise_exception('After the optional system message, roles must alternate user/assistant') -}}
    {%- endif -%}
    {%- if message['role'] == 'user' -%}
        {{- ' [INST] ' + (system if loop.first else '') + message['content'] + ' [/INST]' -}}
    {%- else -%}
        {{- ' ' + message['content'] + eos_token -}}
    {%- endif -%}
{%- endfor -%}
";
