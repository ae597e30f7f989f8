//! Whether a page is well-formed.

/// Every element is closed in the order of opening; every `<` and `&` in text is escaped.
pub(crate) fn assert_well_formed(html: &str) {
    let html = without(&without(html, "<style>", "</style>"), "<script>", "</script>");
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html.as_str();
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a bare > in {:?}", &rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
        if tag.starts_with('!') || tag.ends_with('/') || name == "meta" {
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        match tag.strip_prefix('/') {
            Some(_) => assert_eq!(open.pop(), Some(name), "closing {tag}"),
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for (at, _) in html.match_indices('&') {
        let entity: String = html[at..].chars().take(8).collect();
        assert!(entity.contains(';'), "{entity}");
    }
}

/// The page without what stands between two tags, in a language of its own.
fn without(html: &str, begin: &str, end: &str) -> String {
    let Some(start) = html.find(begin) else { return html.to_string() };
    let start = start + begin.len();
    let end = start + html[start..].find(end).expect("it ends");
    format!("{}{}", &html[..start], &html[end..])
}
