//! Rows before the PHI gate: reported, masked or left out.

use corpus::phi::{Entry, Findings, Gate, Persons};

use crate::dropped::{Dropped, Fault, Rule};
use crate::rows::{Item, Row};

/// Rows that passed, and what was found in all.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) rows: Vec<Row>,
    pub(crate) dropped: Vec<Dropped>,
    pub(crate) found: Vec<Entry>,
}

/// Shows every text of every row to the gate. In the mode `refuse` a row with a finding is left out.
pub(crate) fn pass(rows: Vec<Row>, gate: Gate) -> Passed {
    let mut passed = Passed::default();
    for mut row in rows {
        let source = format!("{} row {}", row.origin.file, row.origin.row);
        let mut refused = Vec::new();
        // Whoever one text names in full is known in the others.
        let mut persons = Persons::default();
        for (_, text) in texts(&mut row) {
            gate.check_among(text, &mut persons);
        }
        for (part, text) in texts(&mut row) {
            let findings = match gate.apply_among(text, &mut persons) {
                Ok(accepted) => {
                    let findings = accepted.findings;
                    if let std::borrow::Cow::Owned(masked) = accepted.text {
                        *text = masked;
                    }
                    findings
                }
                Err(found) => {
                    refused.push(found.findings.clone());
                    found.findings
                }
            };
            passed.found.extend(gate.entries(&source, &part, &findings));
        }
        if refused.is_empty() {
            passed.rows.push(row);
        } else {
            let counts: Vec<String> = refused.iter().map(Findings::to_string).collect();
            let fault = Fault::new(Rule::IdentifiesPerson, counts.join(", "));
            passed.dropped.push(Dropped::new(Some(row.id), row.origin, fault));
        }
    }
    passed
}

/// The texts of a row with their names.
fn texts(row: &mut Row) -> Vec<(String, &mut String)> {
    match &mut row.item {
        Item::Conversation(messages) => messages
            .iter_mut()
            .enumerate()
            .map(|(at, message)| (format!("message {at}"), &mut message.content))
            .collect(),
        Item::Choice(choice) => {
            let mut texts = vec![("question".to_owned(), &mut choice.question)];
            texts.extend(choice.context.iter_mut().map(|text| ("context".to_owned(), text)));
            texts.extend(choice.explanation.iter_mut().map(|text| ("explanation".to_owned(), text)));
            texts.extend(
                choice
                    .options
                    .iter_mut()
                    .map(|option| (format!("option {}", option.letter), &mut option.text)),
            );
            texts
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chat::{Message, Role};
    use corpus::phi::{Action, Class, Mode};

    use super::*;
    use crate::rows::Origin;

    fn rows() -> Vec<Row> {
        let row = |number: u64, answer: &str| Row {
            id: format!("r-{number}"),
            document: None,
            topic: None,
            source: None,
            split: None,
            item: Item::Conversation(vec![
                Message { role: Role::User, content: "What is gout?".into() },
                Message { role: Role::Assistant, content: answer.into() },
            ]),
            origin: Origin { file: "rows.csv".into(), row: number, line: None },
        };
        vec![row(1, "A disease."), row(2, "Ask Dr. Zebulon Quick, 617-555-0134.")]
    }

    #[test]
    fn whoever_the_answer_names_in_full_is_found_in_the_question() {
        let mut rows = rows();
        let Item::Conversation(messages) = &mut rows[1].item else { panic!("a conversation") };
        messages[0].content = "What did Okafor say?".into();
        messages[1].content = "Dr. Zebulon Okafor said nothing.".into();
        let passed = pass(rows, Gate::new(Mode::Mask));
        let Item::Conversation(messages) = &passed.rows[1].item else { panic!("a conversation") };
        assert_eq!(messages[0].content, "What did [NAME] say?");
    }

    #[test]
    fn a_row_is_reported_masked_or_left_out() {
        let reported = pass(rows(), Gate::new(Mode::Report));
        assert_eq!((reported.rows, reported.found.len()), (rows(), 2));
        let found = &reported.found[0];
        assert_eq!((found.source.as_str(), found.part.as_str()), ("rows.csv row 2", "message 1"));
        assert_eq!((found.finding.class, found.action), (Class::Name, Action::Reported));

        let masked = pass(rows(), Gate::new(Mode::Mask));
        let Item::Conversation(messages) = &masked.rows[1].item else { panic!("a conversation") };
        assert_eq!(messages[1].content, "Ask Dr. [NAME], [PHONE].");

        let refused = pass(rows(), Gate::new(Mode::Refuse));
        assert_eq!((refused.rows.len(), refused.dropped.len()), (1, 1));
        assert_eq!(crate::count_by_rule(&refused.dropped), BTreeMap::from([(Rule::IdentifiesPerson, 1)]));
        assert_eq!(refused.dropped[0].detail, "1 name, 1 phone");
    }
}
