use proptest::prelude::*;

use super::*;

fn classes(text: &str) -> Vec<(Class, &str)> {
    let found = Gate::default().check(text);
    found.0.iter().map(|finding| (finding.class, &text[finding.start..finding.end])).collect()
}

#[test]
fn a_note_loses_what_identifies_a_person_and_keeps_its_medicine() {
    let note = "Patient: Jane M. Doe, DOB 03/14/1927, MRN: 00-482-913, 92-year-old from Springfield, IL 62704.\n\
                BP 140/90, 5 mg twice daily, call (217) 555-0134 or jane@mail.example.";
    let passed = Gate::new(Mode::Mask).apply(note).unwrap();
    let expected = "Patient: [NAME], DOB [DATE 1927], MRN: [MRN], [AGE OVER 89]-year-old from [PLACE].\n\
                    BP 140/90, 5 mg twice daily, call [PHONE] or [EMAIL].";
    assert_eq!(passed.text, expected);
    assert_eq!(passed.findings.len(), 7);
}

#[test]
fn every_class_is_found_where_it_is_plain() {
    for (text, class, found) in [
        ("seen by Dr. Ann O'Neil today", Class::Name, "Ann O'Neil"),
        ("home: 12 North Elm Street, Apt 4", Class::Place, "12 North Elm Street, Apt 4"),
        ("zip code 02139", Class::Place, "02139"),
        ("admitted March 3rd, 2019", Class::Date, "March 3rd, 2019"),
        ("am 14. März 2019", Class::Date, "14. März 2019"),
        ("she is ninety-two years old", Class::Age, "ninety-two"),
        ("call 617-555-0134", Class::Phone, "617-555-0134"),
        ("Fax: 617-555-0134", Class::Fax, "617-555-0134"),
        ("a.b@c.example.org", Class::Email, "a.b@c.example.org"),
        ("SSN 123-45-6789", Class::SocialSecurity, "123-45-6789"),
        ("medical record number is 8842113", Class::MedicalRecord, "8842113"),
        ("Member ID: XGH90210", Class::HealthPlan, "XGH90210"),
        ("acct # 99812-3", Class::Account, "99812-3"),
        ("license no. A1234567", Class::Licence, "A1234567"),
        ("VIN 1M8GDM9AXKP042788", Class::Vehicle, "1M8GDM9AXKP042788"),
        ("serial number PJN-400213", Class::Device, "PJN-400213"),
        ("https://blog.example.com/jane", Class::Url, "https://blog.example.com/jane"),
        ("from 192.168.12.7", Class::Ip, "192.168.12.7"),
        ("passport number C01X00T47", Class::OtherNumber, "C01X00T47"),
    ] {
        assert_eq!(classes(text), [(class, found)], "{text}");
    }
}

#[test]
fn medicine_and_public_knowledge_pass() {
    for text in [
        "Give 5-10 mg every 4-6 hours; INR 2.0-3.0, BP 120/80, ratio 1:2:3, version 1.2.3.4.",
        "People aged 90 and older; about 95 years ago; 92% of patients over 90 years old.",
        "Call 1-800-CDC-INFO or 1-800-232-4636, see https://www.nih.gov/health and doi.org/10.1000/182.",
        "Group A streptococcus, plan B, Model 3, type 2 diabetes in 2019, BRCA1, rs1801133, ICD-10 E11.9.",
        "The patient: no distress. Mother: Diabetes. He may take 5 tablets.",
    ] {
        assert_eq!(classes(text), [], "{text}");
    }
}

#[test]
fn refusing_says_what_was_found_and_never_the_text() {
    let refused =
        Gate::new(Mode::Refuse).apply("Dr. Zebulon Quick, SSN 123-45-6789").unwrap_err().to_string();
    assert_eq!(refused, "the PHI gate found 1 name, 1 social_security");
    assert!(Gate::new(Mode::Refuse).apply("No name at all.").is_ok());
}

#[test]
fn the_manifest_has_class_span_and_action_only() {
    let gate = Gate::new(Mode::Mask);
    let findings = gate.check("Dr. Zebulon");
    let line = serde_json::to_string(&gate.entries("row 7", "message 0", &findings)).unwrap();
    let expected =
        r#"[{"source":"row 7","part":"message 0","class":"name","start":4,"end":11,"action":"masked"}]"#;
    assert_eq!(line, expected);
}

#[test]
fn masking_twice_changes_nothing_more() {
    let note = "Dr. Ann O'Neil, 03/14/1927, MRN 882113, fax 617-555-0134, 1 Elm Street";
    let gate = Gate::new(Mode::Mask);
    let once = gate.apply(note).unwrap().text.into_owned();
    assert_eq!(gate.apply(&once).unwrap().text, once);
}

#[test]
fn what_stands_in_papers_is_not_taken_for_persons() {
    for text in [
        "Solows AR, Scott MD, Tyack PL. Trends Ecol Evol 2007; 22: 520-537.",
        "ORCID 0000-0002-5324-9833, doi:10.1007/978-981-15-3383-9, ISSN 1745-6215.",
        "2001 2003 2005 2007 2009; 2016-06 2016-07 2016-08; 118 mg/dL 70-100.",
        "relative length of toes 4.3.5.2; SPME-GC/MS PCA; Charcot-Marie-Tooth disease; Marie Curie Hospital.",
    ] {
        assert_eq!(classes(text), [], "{text}");
    }
}

#[test]
fn whoever_another_part_of_a_document_names_is_found_by_a_part_of_the_name() {
    let (gate, mut persons) = (Gate::new(Mode::Mask), Persons::default());
    gate.check_among("Dr. Zebulon Okafor came by with Dr. Ann Bloom.", &mut persons);
    let passed = gate.apply_among("Then Okafor agreed with Bloom: Bloom syndrome.", &mut persons).unwrap();
    assert_eq!(passed.text, "Then [NAME] agreed with [NAME]: Bloom syndrome.");
    assert!(gate.check("Then Okafor agreed with Bloom: Bloom syndrome.").is_empty());
}

proptest! {
    #[test]
    fn findings_lie_in_the_text_in_order_and_do_not_overlap(text in "([A-Z][a-zé]{1,5}|Dr\\. |MRN |[0-9]{1,5}|[-/. :,@é]){0,60}") {
        let mut end = 0;
        for finding in Gate::default().check(&text).iter() {
            prop_assert!(end <= finding.start && finding.start < finding.end);
            prop_assert!(text.get(finding.start..finding.end).is_some());
            end = finding.end;
        }
        let gate = Gate::new(Mode::Mask);
        prop_assert!(gate.apply(&text).is_ok());
    }
}
