//! A chat template is compiled or refused, and renders within its limits or is refused.

#![no_main]

use chat::Message;
use libfuzzer_sys::fuzz_target;
use model::ChatTemplate;

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let Ok(template) = ChatTemplate::from_source(source, Some("<s>"), Some("</s>")) else { return };
    let messages = [Message::user("What is asthma?"), Message::assistant("A disease.")];
    if let Ok(text) = template.render(&messages, true) {
        assert!(text.len() <= 1 << 20, "{} bytes", text.len());
    }
});
