//! The shipped prompts for questions and for a second look at them.

use chat::Prompts;

/// The shipped prompts.
pub const PROMPTS: Prompts = Prompts(&[
    include_str!("../prompts/qa.md"),
    include_str!("../prompts/mc.md"),
    include_str!("../prompts/ecg-qa.md"),
    include_str!("../prompts/ecg-mc.md"),
    include_str!("../prompts/check-qa.md"),
    include_str!("../prompts/check-mc.md"),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_prompts_are_prompts_with_the_places_that_are_filled() {
        let names = PROMPTS.names();
        assert_eq!(names, ["qa", "mc", "ecg-qa", "ecg-mc", "check-qa", "check-mc"]);
        for name in &names {
            let prompt = PROMPTS.find(name).unwrap();
            let places = ["text", "headings", "count", "language", "question", "answer", "options"];
            let messages = prompt.fill(&places.map(|place| (place, "x"))).unwrap();
            assert_eq!(messages.len(), 2);
            assert!(prompt.asks_for("text") && prompt.to_string().starts_with(&format!("{name}/1@")));
        }
    }
}
