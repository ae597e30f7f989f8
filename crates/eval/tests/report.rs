//! The report as a reader and a browser get it.

mod support;

use eval::report::{Example, Report};

#[test]
fn the_page_holds_the_numbers_and_nothing_from_elsewhere() {
    let report = support::report();
    let html = report.to_html().unwrap();
    // To look at it: `MEDTUNE_REPORT=/tmp/report.html cargo test -p eval --test report`.
    if let Ok(path) = std::env::var("MEDTUNE_REPORT") {
        std::fs::write(path, &html).unwrap();
    }
    for outside in ["http:", "https:", "src=", "href=", "<script", "@import", "url(h", "url(\"", "url(data"] {
        assert!(!html.contains(outside), "{outside}");
    }
    let comparison = report.comparison.as_ref().unwrap();
    assert!(html.contains(&comparison.verdict_sentence()));
    for paired in &comparison.paired {
        assert!(html.contains(&paired.change()), "{}", paired.change());
        assert!(html.contains(&paired.interval_text()));
        let tuned = comparison.tuned.metric(paired.metric).unwrap();
        assert!(html.contains(&paired.metric.format(tuned.value)));
    }
    for number in ["420 in 140 groups", "13,126", "16,412", "1,004", "905", "3.17e15", "nats per token"] {
        assert!(html.contains(number), "{number}");
    }
    for file in &report.run.as_ref().unwrap().manifest.as_ref().unwrap().base_files {
        assert!(html.contains(&file.blake3));
    }
    assert!(html.find("class=\"verdict").unwrap() < html.find("<svg").unwrap(), "the verdict comes first");
    assert_well_formed(&html);
}

#[test]
fn text_of_others_is_text() {
    let hostile =
        "</pre></style><script>alert('x')</script><img src=\"y\" onerror=z>&amp;{{ 123456 * 1000 }}";
    let mut report = support::report();
    report.title = hostile.into();
    report.base_name = hostile.into();
    report.examples = vec![Example {
        question: hostile.into(),
        reference: hostile.into(),
        base: hostile.into(),
        tuned: hostile.into(),
        base_note: hostile.into(),
        tuned_note: hostile.into(),
    }];
    let run = report.run.as_mut().unwrap();
    run.recipe = Some(hostile.into());
    run.manifest.as_mut().unwrap().machine.cpu = hostile.into();
    run.manifest.as_mut().unwrap().data_files[0].path = hostile.into();
    let cleaning = report.cleaning.as_mut().unwrap();
    cleaning.removed[0].0 = hostile.into();
    let split = report.split.as_mut().unwrap();
    split.by = hostile.into();
    split.parts[0].name = hostile.into();
    let certificate = split.certificate.as_mut().unwrap();
    certificate.measure = hostile.into();
    certificate.nearest[0].test = hostile.into();
    let html = report.to_html().unwrap();
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("123456000"), "escaped");
    assert!(html.matches("&lt;script&gt;").count() >= 15);
    assert_well_formed(&html);
}

#[test]
fn a_report_of_nothing_is_a_page() {
    let html = Report { title: "Empty".into(), ..Report::default() }.to_html().unwrap();
    assert!(html.contains("<h1>Empty</h1>") && !html.contains("<section>"));
    assert_well_formed(&html);
}

/// Every element is closed in the order of opening; every `<` and `&` in text is escaped.
fn assert_well_formed(html: &str) {
    let style = html.find("<style>").unwrap()..html.find("</style>").unwrap();
    let html = format!("{}{}", &html[..style.start + 7], &html[style.end..]);
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
        let entity = &html[at..(at + 8).min(html.len())];
        assert!(entity.contains(';'), "{entity}");
    }
}
