//! Pages nested so deep that building their tree takes quadratic time.
//!
//! The standard's algorithm looks through all open elements for an open `p` at the start of nearly every block, so that
//! 200,000 nested `div` take 2 · 10¹⁰ steps. Browsers let the tree grow to 512 levels and put what is deeper beside it; here
//! the tags beyond [`DEEPEST_OPEN`] are left out before the tree is built, and their text stays.

use std::collections::HashMap;

/// More open elements than any page for people has, even one that forgets to close some.
pub(super) const DEEPEST_OPEN: usize = 1000;

/// The page without the tags that are too deep; nothing if none is.
pub(super) fn without_deepest(html: &str) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    let mut open = Open::default();
    let mut at = 0;
    while let Some(start) = html[at..].find('<').map(|found| at + found) {
        let rest = &html[start..];
        if rest.starts_with("<!--") {
            at = rest.find("-->").map_or(html.len(), |end| start + end);
            continue;
        }
        let closes = rest.starts_with("</");
        let name = name(&rest[1 + usize::from(closes)..]).to_ascii_lowercase();
        if name.is_empty() {
            at = start + 1;
            continue;
        }
        at = start + tag_length(rest);
        if TEXT.contains(&name.as_str()) && !closes {
            at += end_of_text(&html[at..], &name);
        } else if stays_open(&name) && !open.takes(name, closes) {
            out.push_str(&html[copied..start]);
            out.push(' ');
            copied = at;
        }
    }
    (copied > 0).then(|| out + &html[copied..])
}

/// Open elements, by name: end tags come in any order, and some come without a beginning.
#[derive(Debug, Default)]
struct Open {
    kept: HashMap<String, usize>,
    left_out: HashMap<String, usize>,
    depth: usize,
}

impl Open {
    /// Whether a tag belongs into the tree.
    fn takes(&mut self, name: String, closes: bool) -> bool {
        if !closes {
            let fits = self.depth < DEEPEST_OPEN;
            self.depth += usize::from(fits);
            *if fits { &mut self.kept } else { &mut self.left_out }.entry(name).or_default() += 1;
            return fits;
        }
        if let Some(count) = self.left_out.get_mut(&name).filter(|count| **count > 0) {
            *count -= 1;
            return false;
        }
        if let Some(count) = self.kept.get_mut(&name).filter(|count| **count > 0) {
            *count -= 1;
            self.depth -= 1;
        }
        true
    }
}

/// The name at the beginning of a tag without its bracket; empty if it is none.
fn name(tag: &str) -> &str {
    if !tag.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return "";
    }
    &tag[..tag.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>').unwrap_or(tag.len())]
}

/// Bytes of a tag up to its bracket, which may stand in quotes before.
fn tag_length(tag: &str) -> usize {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            // A quote that follows no sign of equality is a letter like others.
            (None, b'"' | b'\'') if tag[..at].trim_end().ends_with('=') => quote = Some(byte),
            (Some(open), byte) if byte == open => quote = None,
            _ => {}
        }
    }
    tag.len()
}

/// Elements whose content is text, whatever it looks like.
const TEXT: [&str; 8] = ["script", "style", "textarea", "title", "xmp", "noembed", "noframes", "iframe"];

/// Bytes up to the end tag of such an element.
fn end_of_text(text: &str, name: &str) -> usize {
    let mut at = 0;
    while let Some(found) = text[at..].find("</").map(|found| at + found) {
        let behind = &text.as_bytes()[found + 2..];
        if behind.get(..name.len()).is_some_and(|behind| behind.eq_ignore_ascii_case(name.as_bytes())) {
            return found;
        }
        at = found + 2;
    }
    text.len()
}

/// Whether an element is open until it is closed: not one without content, nor one that the next of its kind closes.
fn stays_open(name: &str) -> bool {
    const CLOSED: [&str; 39] = [
        "a", "area", "base", "body", "br", "button", "caption", "col", "colgroup", "dd", "dt", "embed",
        "frame", "head", "hr", "html", "image", "img", "input", "keygen", "li", "link", "meta", "nobr",
        "optgroup", "option", "p", "param", "rp", "rt", "source", "tbody", "td", "tfoot", "th", "thead",
        "tr", "track", "wbr",
    ];
    !CLOSED.contains(&name)
}
