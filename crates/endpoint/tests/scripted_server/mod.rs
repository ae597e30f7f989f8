//! A server of OpenAI's protocol that says what a test wants it to say.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Its number, from 0.
    pub(crate) number: usize,
    /// The path.
    pub(crate) path: String,
    /// `Authorization`.
    pub(crate) authorization: Option<String>,
    /// The body.
    pub(crate) body: Value,
}

impl Asked {
    /// What is wrong with this answer, by a number below `faults`: each prompt begins with another one and comes to the
    /// next when it is asked again; after three of them nothing is wrong (0), so that no caller has to give up.
    pub(crate) fn fault(&self, faults: usize, prompts: &Mutex<Vec<(Value, usize)>>) -> usize {
        let mut prompts = prompts.lock().unwrap();
        let prompt = &self.body["messages"][1];
        let place = prompts.iter().position(|(known, _)| known == prompt).unwrap_or(prompts.len());
        if place == prompts.len() {
            prompts.push((prompt.clone(), 0));
        }
        let attempt = prompts[place].1;
        prompts[place].1 += 1;
        if attempt < 3 { (place + attempt) % faults } else { 0 }
    }

    /// The text of the last message.
    pub(crate) fn question(&self) -> &str {
        let messages = self.body["messages"].as_array().unwrap();
        messages.last().unwrap()["content"].as_str().unwrap()
    }
}

/// What the server does with a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// 200 unless it says otherwise.
    pub(crate) status: u16,
    /// Besides those that belong to the protocol.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(crate) body: String,
    /// Time until the first byte.
    pub(crate) delay: Duration,
    /// The connection breaks off after so many bytes of the body.
    pub(crate) cut: Option<usize>,
}

impl Answer {
    /// A good reply with a text.
    pub(crate) fn text(text: &str) -> Self {
        Self::body(&completion(text))
    }

    /// Any document.
    pub(crate) fn body(body: &Value) -> Self {
        Answer { status: 200, body: body.to_string(), ..Answer::default() }
    }

    /// An error as OpenAI writes it.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        let body = json!({ "error": { "message": message, "type": "x", "code": null } });
        Answer { status, ..Self::body(&body) }
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// A chat completion with all that Groq adds.
pub(crate) fn completion(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "scripted-1",
        "choices": [{ "index": 0, "logprobs": null, "finish_reason": "stop",
            "message": { "role": "assistant", "content": text, "reasoning": null, "executed_tools": [] } }],
        "usage": { "queue_time": 0.01, "prompt_tokens": 100, "prompt_time": 0.1, "completion_tokens": 20,
            "completion_time": 0.1, "total_tokens": 120, "total_time": 0.2 },
        "service_tier": "on_demand", "usage_breakdown": null, "system_fingerprint": "fp",
        "x_groq": { "id": "req_1", "seed": 3 }
    })
}

/// The server. It ends with the test's process.
pub(crate) struct ScriptedServer {
    /// `http://127.0.0.1:port/v1`.
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl ScriptedServer {
    /// Serves what `script` says.
    pub(crate) fn start(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1", listener.local_addr().unwrap());
        let (asked, script) = (Arc::new(Mutex::new(Vec::new())), Arc::new(script));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, log) = (script.clone(), log.clone());
                std::thread::spawn(move || serve(stream, &log, &*script));
            }
        });
        ScriptedServer { address, asked }
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, script: &dyn Fn(&Asked) -> Answer) -> Option<()> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let header = |name: &str| {
        let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let length: usize = header("content-length")?.parse().ok()?;
    while bytes.len() < head + length {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    }
    let asked = {
        let mut log = log.lock().unwrap();
        let number = log.len();
        log.push(Asked {
            number,
            path: text.split(' ').nth(1)?.to_owned(),
            authorization: header("authorization"),
            body: serde_json::from_slice(&bytes[head..head + length]).ok()?,
        });
        log.last()?.clone()
    };
    let answer = script(&asked);
    std::thread::sleep(answer.delay);
    let mut reply = format!(
        "HTTP/1.1 {} Scripted\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        reply += &format!("{name}: {value}\r\n");
    }
    reply += "\r\n";
    stream.write_all(reply.as_bytes()).ok()?;
    let end = answer.cut.unwrap_or(answer.body.len()).min(answer.body.len());
    stream.write_all(&answer.body.as_bytes()[..end]).ok()
}
