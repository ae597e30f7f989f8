//! The report as a reader and a browser get it.

mod html;
mod support;

use eval::report::{Example, Report};
use html::assert_well_formed;

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
