//! Whether the text says what the answer says.

use corpus::Block;

use crate::settings::Checks;
use crate::text::{Vocabulary, content_words, numbers, unknown_number};
use crate::{Draft, Reason};

use super::{Objection, Source};

pub(super) fn objection(draft: &Draft, source: &Source, checks: &Checks) -> Option<Objection> {
    if checks.numbers {
        let mut texts = [&draft.question, &draft.answer].into_iter();
        if let Some(number) = texts.find_map(|text| unknown_number(text, &source.numbers)) {
            return Some((Reason::UnknownNumber, format!("`{number}`")));
        }
    }
    let share = source.vocabulary.share_of(&draft.answer);
    if share >= checks.support {
        return None;
    }
    let with_headings = source.with_headings.share_of(&draft.answer);
    let said =
        format!("{:.0} % of the answer's words, expected {:.0} %", 100.0 * share, 100.0 * checks.support);
    Some(match with_headings >= checks.support {
        true => (Reason::NeedsHeadings, said),
        false => (Reason::Unsupported, said),
    })
}

/// The one of some blocks that an answer has most in common with: words, and numbers, which count threefold. Nothing
/// where it has nothing in common with any.
pub(crate) fn evidence<'a>(draft: &Draft, blocks: impl Iterator<Item = (usize, &'a Block)>) -> Option<usize> {
    let (answer, question) = (content_words(&draft.answer), content_words(&draft.question));
    let wanted = numbers(&draft.answer, false);
    let score = |block: &Block| {
        let vocabulary = Vocabulary::of(&block.text);
        let found = |words: &[String]| words.iter().filter(|word| vocabulary.has(word)).count();
        let there = numbers(&block.text, true);
        let figures = wanted.iter().filter(|number| there.contains(*number)).count();
        (2 * (found(&answer) + 3 * figures), found(&question))
    };
    let scored = blocks.map(|(index, block)| (score(block), std::cmp::Reverse(index)));
    let best = scored.max().filter(|((answered, _), _)| *answered > 0);
    best.map(|((_, _), std::cmp::Reverse(index))| index)
}
