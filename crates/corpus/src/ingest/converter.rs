//! Programs that read PDF files and pictures better, spoken to over HTTP: docling-serve and MinerU. Off unless asked for.
//!
//! Sources: docling-serve 1.x, `POST /v1/convert/file`; MinerU 4.0.12, `mineru/parser/task_api.py` (`POST /v1/file_parse`);
//! MinerU 2.x (`POST /file_parse`).

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::phi::Findings;

/// A longer answer is none.
const LONGEST_ANSWER: u64 = 256 << 20;

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// docling-serve.
    Docling,
    /// MinerU's own server.
    MinerU,
}

/// A program at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converter {
    /// Which one.
    pub program: Program,
    /// Its address, such as `http://localhost:5001`.
    pub address: String,
    /// Whether documents in which the PHI gate finds something, or which it cannot read, may leave this machine.
    pub send_phi: bool,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Converter {
    /// Whether the address is on this machine.
    pub fn is_local(&self) -> bool {
        let rest = self.address.split_once("://").map_or(self.address.as_str(), |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // User and password come before the host.
        let host = host.rsplit('@').next().unwrap_or_default();
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether a document may be sent. `seen` are the findings in its text, nothing where no text could be read here.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_send(&self, seen: Option<&Findings>) -> Result<(), String> {
        let address = &self.address;
        match seen {
            _ if self.send_phi || self.is_local() => Ok(()),
            Some(found) if found.is_empty() => Ok(()),
            Some(found) => Err(format!("not sent to {address}: the PHI gate found {found}")),
            None => Err(format!("not sent to {address}: it has no text that the PHI gate could check")),
        }
    }

    /// The Markdown that the program makes of a file.
    ///
    /// # Errors
    /// The program cannot be reached, refuses, or answers something else than documented.
    pub(super) fn convert(&self, path: &Path, bytes: &[u8]) -> Result<String, String> {
        let name = path
            .file_name()
            .map_or("document".into(), |name| name.to_string_lossy().replace(['"', '\r', '\n'], "_"));
        let answer = match self.program {
            Program::Docling => {
                let fields = [("to_formats", "md"), ("image_export_mode", "placeholder")];
                self.post("/v1/convert/file", &fields, &name, bytes)?
            }
            Program::MinerU => match self.post("/v1/file_parse?response_format=json", &[], &name, bytes) {
                // Version 2 has another path.
                Err(error) if error.ends_with("status 404") => {
                    self.post("/file_parse", &[("return_md", "true")], &name, bytes)?
                }
                answer => answer?,
            },
        };
        markdown(&answer)
            .ok_or_else(|| format!("{}: no Markdown in its answer{}", self.address, said(&answer)))
    }

    fn post(&self, path: &str, fields: &[(&str, &str)], name: &str, bytes: &[u8]) -> Result<Value, String> {
        let url = format!("{}{path}", self.address.trim_end_matches('/'));
        let (kind, body) = multipart(fields, name, bytes);
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(self.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        let failed = |error: ureq::Error| format!("{url}: {error}");
        let mut answer = agent.post(&url).header("content-type", &kind).send(&body[..]).map_err(failed)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("{url}: status {}", status.as_u16()));
        }
        let text = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string().map_err(failed)?;
        serde_json::from_str(&text).map_err(|error| format!("{url}: its answer is no JSON: {error}"))
    }
}

/// A form with one file (RFC 7578). The boundary comes from the content, so that it cannot stand in it.
fn multipart(fields: &[(&str, &str)], name: &str, bytes: &[u8]) -> (String, Vec<u8>) {
    let boundary = blake3::hash(bytes).to_hex();
    let mut body = Vec::with_capacity(bytes.len() + 1024);
    for (field, value) in fields {
        let part =
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\
         content-type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// docling: `document.md_content`; MinerU 4: `files[0].content.markdown`; MinerU 2: `results.<name>.md_content`.
fn markdown(answer: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let of_docling = answer.pointer("/document/md_content").and_then(text);
    let of_mineru_4 = || answer.pointer("/files/0/content/markdown").and_then(text);
    let of_mineru_2 =
        || answer.get("results")?.as_object()?.values().next()?.get("md_content").and_then(text);
    of_docling.or_else(of_mineru_4).or_else(of_mineru_2)
}

/// What an answer without Markdown says of it.
fn said(answer: &Value) -> String {
    let status = ["status", "detail", "error"].iter().find_map(|key| answer.get(*key)).map(Value::to_string);
    status
        .map(|status| format!(" (it says {})", status.chars().take(200).collect::<String>()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::phi::Gate;

    /// A server that gives these answers, one for each request; what it was asked.
    fn server(answers: &'static [(u16, &'static str)]) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = thread::spawn(move || {
            let answer = |(status, body): &(u16, &str)| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut request, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    request.push_str(&line);
                    if line == "\r\n" {
                        break;
                    }
                }
                let mut content = vec![0; length];
                reader.read_exact(&mut content).unwrap();
                request.push_str(&String::from_utf8_lossy(&content));
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + body).as_bytes()).unwrap();
                request
            };
            answers.iter().map(answer).collect()
        });
        (address, asked)
    }

    fn converter(program: Program, address: &str) -> Converter {
        Converter { program, address: address.into(), send_phi: false, timeout: Duration::from_secs(10) }
    }

    #[test]
    fn docling_is_sent_the_file_and_its_markdown_is_taken() {
        let (address, asked) =
            server(&[(200, r##"{"document": {"md_content": "# Gout"}, "status": "success"}"##)]);
        let read =
            converter(Program::Docling, &address).convert(Path::new("a/b.pdf"), b"%PDF-bytes").unwrap();
        assert_eq!(read, "# Gout");
        let request = asked.join().unwrap().remove(0);
        for part in [
            "POST /v1/convert/file HTTP/1.1",
            "name=\"to_formats\"\r\n\r\nmd",
            "filename=\"b.pdf\"",
            "%PDF-bytes",
        ] {
            assert!(request.contains(part), "{part} in {request}");
        }
    }

    #[test]
    fn mineru_is_asked_in_the_way_of_its_version() {
        let (address, asked) = server(&[(200, r##"{"files": [{"content": {"markdown": "# Four"}}]}"##)]);
        assert_eq!(converter(Program::MinerU, &address).convert(Path::new("b.pdf"), b"x").unwrap(), "# Four");
        assert!(asked.join().unwrap()[0].starts_with("POST /v1/file_parse?"));
        let (address, asked) =
            server(&[(404, "{}"), (200, r##"{"results": {"b": {"md_content": "# Two"}}}"##)]);
        assert_eq!(converter(Program::MinerU, &address).convert(Path::new("b.pdf"), b"x").unwrap(), "# Two");
        assert!(asked.join().unwrap()[1].starts_with("POST /file_parse "));
    }

    #[test]
    fn an_answer_that_is_none_is_an_error_that_says_so() {
        let ask = |answers: &'static [(u16, &'static str)]| {
            let (address, _) = server(answers);
            converter(Program::Docling, &address).convert(Path::new("b.pdf"), b"x").unwrap_err()
        };
        assert!(ask(&[(500, "")]).ends_with("status 500"));
        assert!(ask(&[(200, "<html>")]).contains("its answer is no JSON"));
        assert!(
            ask(&[(200, r#"{"status": "failure"}"#)])
                .ends_with("no Markdown in its answer (it says \"failure\")")
        );
        let nobody =
            converter(Program::Docling, "http://127.0.0.1:9").convert(Path::new("b.pdf"), b"x").unwrap_err();
        assert!(nobody.starts_with("http://127.0.0.1:9/v1/convert/file: "), "{nobody}");
    }

    #[test]
    fn what_identifies_a_person_does_not_leave_this_machine() {
        let (none, some) = (Findings::default(), Gate::default().check("Dr. Zebulon"));
        let away = converter(Program::Docling, "http://docling.example:5001/api");
        assert!(!away.is_local() && away.may_send(Some(&none)).is_ok());
        assert!(away.may_send(Some(&some)).unwrap_err().ends_with("the PHI gate found 1 name"));
        assert!(away.may_send(None).unwrap_err().contains("no text that the PHI gate could check"));
        assert!(Converter { send_phi: true, ..away }.may_send(None).is_ok());
        for local in ["http://localhost:5001", "http://127.0.0.1", "http://[::1]:80/x"] {
            assert!(converter(Program::Docling, local).may_send(Some(&some)).is_ok(), "{local}");
        }
        for remote in ["http://localhost.example", "http://127.0.0.1@example.com", "http://10.0.0.1"] {
            assert!(!converter(Program::Docling, remote).is_local(), "{remote}");
        }
    }
}
