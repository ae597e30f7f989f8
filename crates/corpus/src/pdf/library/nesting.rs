//! How deep a file's objects are nested: the parser recurses, and a stack that overflows cannot be caught.

/// Deeper than any real file.
pub(super) const DEEPEST: usize = 500;

/// The greatest depth of arrays and dictionaries outside strings and streams.
pub(super) fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut at) = (0_usize, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'(' => {
                at = after_string(bytes, at);
                continue;
            }
            b'[' => depth += 1,
            b'<' if bytes.get(at + 1) == Some(&b'<') => {
                depth += 1;
                at += 1;
            }
            b']' => depth = depth.saturating_sub(1),
            b'>' if bytes.get(at + 1) == Some(&b'>') => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b'e' if bytes[at..].starts_with(b"endobj") => depth = 0,
            b's' if bytes[at..].starts_with(b"stream") => {
                depth = 0;
                at += find(&bytes[at..], b"endstream").unwrap_or(bytes.len() - at);
                continue;
            }
            _ => {}
        }
        deepest = deepest.max(depth);
        at += 1;
    }
    deepest
}

/// Strings hold brackets in pairs or escaped. One that does not end within reason, or holds more pairs than objects may be
/// nested, is none: giving up early keeps a file of brackets alone from being read once for each of them.
fn after_string(bytes: &[u8], start: usize) -> usize {
    let (mut open, mut at) = (0_usize, start);
    let end = bytes.len().min(start + 65_536);
    while at < end && open <= DEEPEST {
        match bytes[at] {
            b'\\' => at += 1,
            b'(' => open += 1,
            b')' => {
                open -= 1;
                if open == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    start + 1
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word).map(|at| at + word.len())
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn brackets_that_never_close_are_looked_through_once() {
        let began = std::time::Instant::now();
        assert_eq!(depth(&b"(".repeat(1_000_000)), 0);
        // Looked at up to the end of each string it takes minutes.
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }

    #[test]
    fn brackets_in_strings_and_streams_do_not_count() {
        assert_eq!(depth(b"1 0 obj << /A [1 [2 3]] /B ([[[[\\)) >> endobj 2 0 obj [1] endobj"), 3);
        assert_eq!(depth(b"<< /Length 9 >> stream\n[[[[[[[[[\nendstream [1]"), 1);
        assert_eq!(depth(&b"[".repeat(9_000)), 9_000);
        assert_eq!(depth(&[&b"(".repeat(500)[..], b"[", &b")".repeat(500)].concat()), 0);
    }
}
